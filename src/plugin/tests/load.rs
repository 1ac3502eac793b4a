//! What is wrong with a folder is said with file, line and the nearest right word.

use super::{MANIFEST, NOTE, broken, folder, params, sample};
use crate::plugin::Registry;
use crate::plugin::load::{load, load_dir};

#[test]
fn the_sample_has_nothing_to_complain_about() {
    let warnings: Vec<String> = sample().warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn a_wrong_key_is_named_with_its_line_and_the_right_one() {
    let said = broken("record_id = \"$.id\"", "recordid = \"$.id\"");
    let line = MANIFEST.lines().position(|l| l.starts_with("record_id")).unwrap() + 1;
    assert!(said.starts_with(&format!("plugin.toml:{line}: error: unknown field `recordid`")), "{said}");
    assert!(said.contains("did you mean `record_id`?"), "{said}");
}

#[test]
fn a_wrong_name_in_a_template_is_found_in_every_branch() {
    for template in [
        "{\"a\": \"{{#if owner}}x{{else}}{{recrd.id}}{{/if}}\"}",
        "{\"a\": \"{{#unless owner}}{{record.idd}}{{/unless}}\"}",
        "{\"a\": \"{{default call.plased_at \"x\"}}\"}",
        "{\"a\": \"{{upper (concat record.id report.notess)}}\"}",
        "{\"a\": \"{{#each steps}}{{@root.param.tokn}}{{/each}}\"}",
        "{\"a\": \"{{#with report}}{{disposition}}{{nope}}{{/with}}\"}",
        "{\"a\": \"{{uper record.id}}\"}",
        "{\"a\": \"{{{record.id}}}\"}",
        "{\"a\": \"{{> partial}}\"}",
        "{\"a\": \"{{truncate record.id}}\"}",
    ] {
        let error = load("sample", folder(MANIFEST, template)).unwrap_err();
        assert!(error.problems.iter().any(|p| p.file == "templates/note.json.hbs" && p.line == 1), "{template}: {error}");
    }
    let error = load("sample", folder(MANIFEST, "{\n\"a\": \"{{#if owner}}{{else}}\n{{custmer.phone}}{{/if}}\"}")).unwrap_err();
    assert_eq!(error.problems[0].line, 3);
    assert!(error.problems[0].message.contains("did you mean `customer`?"), "{error}");
}

#[test]
fn what_is_of_the_wrong_kind_or_there_twice_is_named_by_its_key() {
    let title = MANIFEST.lines().find(|line| line.starts_with("title = {")).unwrap();
    let said = broken(title, "title = \"Note\"");
    assert!(said.contains("error: `title`: invalid type: string \"Note\", expected a text in both languages, { vi = \"…\", en = \"…\" }"), "{said}");
    let said = broken("record_id = \"$.id\"", "record_id = \"$.id\"\nrecord_id = \"$.ID\"");
    assert!(said.contains("`record_id`: duplicate key"), "{said}");
    assert!(broken("[receive.map]", "[receive.mapping]").contains("did you mean `map`?"));
    assert!(broken("spec = 1", "spec = \"one\"").contains("`spec`: invalid type: string"));
}

#[test]
fn a_bare_word_where_a_field_is_meant_is_told() {
    let warned = |to: &str| {
        let manifest = MANIFEST.replacen("record_id = \"$.id\"", to, 1);
        let plugin = load("sample", folder(&manifest, super::NOTE)).unwrap();
        plugin.warnings().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let line = MANIFEST.lines().position(|l| l.starts_with("record_id")).unwrap() + 1;
    let said = warned("record_id = \"id\"");
    assert!(said.len() == 1 && said[0].starts_with(&format!("plugin.toml:{line}: warning: `record_id` is the text `id` itself")), "{said:?}");
    assert!(said[0].contains("`$.id`"), "{said:?}");
    assert_eq!(warned("record_id = [\"id\", \"$.id\"]").len(), 1);
    assert!(warned("record_id = [\"$.id\", \"none\"]").is_empty(), "what is there when nothing else is");
    assert!(warned("record_id = \"$.id\"\nevent_id = \"event id\"")[0].contains("`$['event id']`"));
}

#[test]
fn a_json_template_must_become_json() {
    assert!(load("sample", folder(MANIFEST, "{ \"a\": \"{{json record.id}}\" }")).unwrap_err().to_string().contains("does not become JSON"));
    let plugin = load("sample", folder(MANIFEST, "{ \"a\": {{report.answer_seconds}} }")).unwrap();
    assert!(plugin.warnings().iter().any(|p| p.message.contains("when every name is absent")));
}

#[test]
fn an_integer_that_is_not_there_is_null() {
    let plugin = load("sample", folder(MANIFEST, "{ \"a\": {{int report.answer_seconds}} }")).unwrap();
    assert!(!plugin.warnings().iter().any(|p| p.message.contains("when every name is absent")), "{:?}", plugin.warnings());
}

#[test]
fn an_empty_folder_of_a_case_is_a_case_that_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sample");
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    std::fs::create_dir_all(folder.join("cases/begun")).unwrap();
    std::fs::write(folder.join("plugin.toml"), MANIFEST).unwrap();
    std::fs::write(folder.join("templates/note.json.hbs"), NOTE).unwrap();
    let plugin = load_dir(&folder).unwrap();
    assert_eq!((plugin.warnings(), plugin.case_names()), (&[][..], vec!["begun".to_owned()]));
    assert_eq!(plugin.case("begun").unwrap_err(), "there is no case.toml");
    assert!(plugin.gaps().iter().any(|gap| gap.to_string() == "cases/begun: warning: there is no case.toml"), "{:?}", plugin.gaps());
}

#[test]
fn a_folder_is_called_by_its_name_however_it_is_pointed_at() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sample");
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    std::fs::write(folder.join("plugin.toml"), MANIFEST).unwrap();
    std::fs::write(folder.join("templates/note.json.hbs"), NOTE).unwrap();
    for path in [folder.clone(), folder.join("."), folder.join("templates/..")] {
        assert_eq!(load_dir(&path).unwrap().id(), "sample", "{}", path.display());
    }
}

#[test]
fn a_limit_that_is_none_is_refused() {
    let with = |rate: &str| load("sample", folder(&format!("{MANIFEST}\n[limits]\nrate = \"{rate}\"\n"), NOTE));
    let error = with("5 per second").unwrap_err();
    assert!(error.problems.iter().any(|p| p.line > 0 && p.message.starts_with("rate: ")), "{error}");
    assert!(with("5/s").is_ok());
}

#[test]
fn other_faults_are_told() {
    for (from, to, said) in [
        ("note.json.hbs", "nota.json.hbs", "did you mean `note.json.hbs`?"),
        ("phone = \"$.phone\"", "phone = \"$.phone[\"", "is not a JSONPath"),
        ("\"{{param.secret}}\"", "\"{{param.secrt}}\"", "did you mean `secret`?"),
        ("id = \"phone_field\"", "id = \"fone\"", "there is no name `param.phone_field`"),
        ("tolerance = \"5m\"", "tolerance = \"soon\"", "is not a duration"),
        ("message = [\"body\", ", "message = [\"bdy\", ", "did you mean `body`?"),
        ("path = \"/leads/{{url", "path = \"leads/{{url", "begins with `/`"),
        ("identity = \"none\"", "identity = \"searchable\"", "needs `find`"),
        ("spec = 1", "spec = 2", "is not known"),
        ("id = \"sample\"", "id = \"other\"", "is not the folder's name"),
        ("kind = \"bearer\"", "kind = \"barer\"", "did you mean `bearer`?"),
        ("[[lookup]]", "[[lookup]]\nbase = \"apy\"", "did you mean `api`?"),
        ("if = [{ value = \"$.by\", to = \"me\" }]", "if = [{ value = \"$.by\" }]", "has no `to`"),
        ("phone_field\"\ntitle", "unused\"\ntitle", "there is no name"),
        ("over_limit = {", "gone = { status = 410 }\nover_limit = {", "unknown field `gone`"),
    ] {
        let problems = broken(from, to);
        assert!(problems.contains(said), "{to}: {problems}");
    }
    let mut files = folder(MANIFEST, NOTE);
    files.insert("readme.md".to_owned(), Vec::new());
    assert!(load("sample", files).unwrap_err().to_string().contains("did you mean `README.md`?"));
}

#[test]
fn what_is_written_for_nothing_is_told_with_its_line() {
    let title = "title = { vi = \"x\", en = \"x\" }";
    let owner = "headers = { X-Owner = \"{{owner}}\" }";
    for (before, added, said) in [
        ("[[lookup]]", "[maps.lead]\nphone = \"$.phone\"\n".to_owned(), "warning: no map is `like` this one: `lead`"),
        ("[[lookup]]", format!("[[fields]]\nid = \"stage\"\n{title}\n"), "warning: no variant and no look-up reads the field `stage`"),
        (
            "[[lookup]]",
            format!("[[hooks]]\nname = \"leads\"\n{title}\nparameters = [\"hook_secrt\"]\n"),
            "error: hook `leads`, parameters: there is no parameter `hook_secrt`",
        ),
        (
            "[[lookup]]",
            format!("[[hooks]]\nname = \"leads\"\n{title}\nvalues = {{ site = \"x\" }}\n"),
            "error: hook `leads`, values: the parameter `site` is not one of scope `hook`",
        ),
        (owner, "if = [{ value = \"$.record.tpye\", to = \"lead\" }]".to_owned(), "error: `$.record.tpye`: there is no `tpye` here (did you mean `type`?)"),
        (
            owner,
            "if = [{ any = [{ value = [\"$.recrd.id\", \"$.owner\"], op = \"exists\" }] }]".to_owned(),
            "error: `$.recrd.id`: there is no `recrd` here (did you mean `record`?)",
        ),
        (owner, "if = [{ value = \"$.call.id.x\", op = \"exists\" }]".to_owned(), "error: `$.call.id.x`: there is nothing here for `x` to be found in"),
    ] {
        let line = MANIFEST.lines().position(|line| line == before).unwrap() + 1;
        let problems = broken(before, &format!("{added}\n{before}"));
        assert!(problems.contains(&format!("plugin.toml:{line}: {said}")), "{line} {said}: {problems}");
    }
    for known in ["$.record.type", "$.report.notes", "$.after.anything", "$.steps", "$..tpye"] {
        let problems = broken(owner, &format!("if = [{{ value = \"{known}\", op = \"exists\" }}]\n{owner}"));
        assert_eq!(problems, "", "{known}");
    }
}

#[test]
fn parameters_are_checked() {
    let plugin = sample();
    assert!(plugin.check_params(&params(&[])).is_empty());
    let given = [("site", "crm.example.vn"), ("tokn", "x"), ("phone_field", "$.[")].map(|(n, v)| (n.to_owned(), v.to_owned())).into();
    let faults = plugin.check_params(&given).join("\n");
    for said in ["did you mean `token`?", "`site` must be an http", "`token` is missing", "`phone_field` begins like a JSONPath"] {
        assert!(faults.contains(said), "{faults}");
    }
}

#[test]
fn a_broken_folder_never_replaces_a_good_plugin_and_older_versions_stay() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sample");
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    std::fs::write(folder.join("plugin.toml"), MANIFEST).unwrap();
    std::fs::write(folder.join("templates/note.json.hbs"), NOTE).unwrap();
    let (registry, errors) = Registry::open(Some(dir.path()));
    assert_eq!(errors.iter().filter(|e| e.id == "sample").count(), 0);
    let first = registry.get("sample").unwrap();

    std::fs::write(folder.join("plugin.toml"), "spec = ").unwrap();
    let broken = registry.reload(|_| Vec::new());
    assert!(broken.changed.is_empty() && broken.problems.iter().any(|e| e.id == "sample"), "{broken:?}");
    assert_eq!(registry.get("sample").unwrap().hash(), first.hash());
    assert!(registry.reload(|_| Vec::new()).problems.is_empty(), "said once");
    assert_eq!(registry.problems().len(), 1, "and known as long as it is so");

    std::fs::write(folder.join("plugin.toml"), MANIFEST.replace("name = \"Sample\"", "name = \"New\"")).unwrap();
    let refused = registry.reload(|plugin| vec![format!("{} does not fit", plugin.name())]);
    assert!(refused.problems[0].to_string().contains("New does not fit"), "{refused:?}");
    assert_eq!(registry.get("sample").unwrap().name(), "Sample");
    assert_eq!(registry.reload(|_| Vec::new()).changed.len(), 1);
    assert_eq!(registry.get("sample").unwrap().name(), "New");
    assert_eq!(registry.version("sample", first.hash()).unwrap().name(), "Sample");
    assert!(registry.problems().is_empty());

    std::fs::remove_dir_all(&folder).unwrap();
    assert!(registry.reload(|_| Vec::new()).problems[0].to_string().contains("the folder is gone"));
    assert_eq!(registry.get("sample").unwrap().name(), "New");
}
