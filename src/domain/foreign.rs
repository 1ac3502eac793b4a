//! Numbers of other countries: refused unless a connection allows their country. Only what is written with `+` or `00` is read as one:
//! without it nothing says which country is meant.
//!
//! The numbering plans are those of the `phonenumber` crate. It reads them at its first use (0.1 s, 8 MB), which is why only settings that
//! allow a country come there: see [`Countries::read`].

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::phone::{self, Phone, PhoneError};

/// Countries besides Vietnam whose numbers may be dialled, by their ISO codes (`SG`, `US`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Countries(BTreeSet<String>);

/// Text that is not a country.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a country; write ISO codes of two letters, such as SG, US or JP (numbers of VN are always dialled)")]
pub struct BadCountry(pub String);

impl Countries {
    /// Reads codes in any case.
    pub fn read(codes: impl IntoIterator<Item = String>) -> Result<Self, BadCountry> {
        let known = |code: String| {
            let upper = code.trim().to_uppercase();
            match upper.parse::<phonenumber::country::Id>() {
                Ok(phonenumber::country::Id::VN) | Err(_) => Err(BadCountry(code)),
                Ok(_) => Ok(upper),
            }
        };
        let countries = Self(codes.into_iter().map(known).collect::<Result<_, _>>()?);
        if !countries.is_empty() {
            // The plans are read now, not while a webhook waits.
            let _ = phonenumber::parse(None, "+6561234567");
        }
        Ok(countries)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These and those.
    pub fn and(mut self, other: &Countries) -> Self {
        self.0.extend(other.0.iter().cloned());
        self
    }

    /// Reads the number in a text: a Vietnamese one, or one of these countries.
    pub fn normalise(&self, text: &str) -> Result<Phone, PhoneError> {
        match phone::normalise(text) {
            Err(PhoneError::Foreign) if !self.is_empty() => self.foreign(&phone::foreign_digits(text).ok_or(PhoneError::Foreign)?),
            other => other,
        }
    }

    /// All numbers in a text that may hold several.
    pub fn every(&self, text: &str) -> Result<Vec<Phone>, PhoneError> {
        match phone::every(text) {
            none if none.is_empty() => self.normalise(text).map(|phone| vec![phone]),
            all => Ok(all),
        }
    }

    fn foreign(&self, digits: &str) -> Result<Phone, PhoneError> {
        let number = phonenumber::parse(None, format!("+{digits}")).map_err(|_| PhoneError::NotANumber)?;
        let country = number.country().id().ok_or(PhoneError::Foreign)?;
        if !self.0.contains(country.as_ref()) {
            return Err(PhoneError::Foreign);
        }
        if !number.is_valid() {
            return Err(PhoneError::NotANumber);
        }
        Phone::of_e164(&number.format().mode(phonenumber::Mode::E164).to_string()).ok_or(PhoneError::NotANumber)
    }
}

impl fmt::Display for Countries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(String::as_str).collect::<Vec<_>>().join(", "))
    }
}

impl Serialize for Countries {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(s)
    }
}

impl<'de> Deserialize<'de> for Countries {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::read(Vec::<String>::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(codes: &[&str], text: &str) -> Result<String, PhoneError> {
        Countries::read(codes.iter().map(|c| (*c).to_owned())).unwrap().normalise(text).map(|phone| phone.e164().to_owned())
    }

    #[test]
    fn only_numbers_of_allowed_countries_are_read() {
        for text in ["+65 6123 4567", "0065 61234567", "+65-6123-4567", "gọi +65 6123 4567 máy lẻ 12"] {
            assert_eq!(read(&["SG"], text), Ok("+6561234567".into()), "{text}");
            assert_eq!(read(&["us", "jp"], text), Err(PhoneError::Foreign), "{text}");
            assert_eq!(read(&[], text), Err(PhoneError::Foreign), "{text}");
        }
        assert_eq!(read(&["US"], "+1 (650) 253-0000"), Ok("+16502530000".into()));
        // One plan, two countries.
        assert_eq!(read(&["US"], "+1 604 555 1234"), Err(PhoneError::Foreign));
        assert_eq!(read(&["GB"], "+44 (0)20 7946 0018"), Ok("+442079460018".into()));
        assert_eq!(read(&["JP"], "+81 3-1234-5678"), Ok("+81312345678".into()));
    }

    #[test]
    fn vietnamese_numbers_are_read_as_ever_and_without_plus_no_country_is_guessed() {
        assert_eq!(read(&["SG"], "0912 345 678"), Ok("+84912345678".into()));
        assert_eq!(read(&["SG"], "6561234567"), Err(PhoneError::NotANumber));
        assert_eq!(read(&["SG"], "61234567"), Err(PhoneError::NotANumber));
        assert_eq!(read(&["SG"], "19001234"), Err(PhoneError::Service));
        assert_eq!(read(&["SG", "US"], "+84 113"), Err(PhoneError::Service));
    }

    #[test]
    fn what_no_plan_has_is_no_number() {
        for text in ["+65 1234", "+65 0000 0000", "+65 6123 4567 8901", "+999 12345678"] {
            assert!(read(&["SG"], text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_unknown_country_is_told() {
        for code in ["Singapore", "XX", "VN", ""] {
            assert_eq!(Countries::read([code.to_owned()]), Err(BadCountry(code.to_owned())), "{code}");
        }
        let read: Countries = serde_json::from_str(r#"["sg", "US"]"#).unwrap();
        assert_eq!((read.to_string().as_str(), serde_json::to_string(&read).unwrap().as_str()), ("SG, US", r#"["SG","US"]"#));
    }

    #[test]
    fn a_foreign_number_is_kept_as_e164_and_dialled_with_00() {
        let phone = Countries::read(["SG".to_owned()]).unwrap().normalise("+65 6123 4567").unwrap();
        assert_eq!((phone.national().as_str(), phone.masked().as_str()), ("006561234567", "006•••567"));
        let json = serde_json::to_string(&phone).unwrap();
        assert_eq!((json.as_str(), serde_json::from_str::<Phone>(&json).unwrap()), (r#""+6561234567""#, phone));
    }
}
