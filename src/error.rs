//! Every error code of callbridge in one table: its class, the HTTP status it answers with, what it means and what to do.
//!
//! `docs/errors.md` is generated from this table. Lower layers know codes, never HTTP.

use std::fmt;

/// What a failure leads to. Five classes, five actions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The input is wrong; asking again with the same input will fail again.
    Reject,
    /// A person has to change a setting before this can work.
    Misconfigured,
    /// It surely did not happen; it may be tried again.
    Retry,
    /// It may have happened; do not blindly try again.
    Unknown,
    /// callbridge itself is wrong.
    Bug,
}

/// One row of the table.
#[derive(Debug)]
pub struct Entry {
    /// Stable, snake_case, public.
    pub code: &'static str,
    pub class: Class,
    /// HTTP status where this code is an answer of ours.
    pub status: u16,
    pub en: &'static str,
    pub vi: &'static str,
    /// What the person who sees it can do (English, then Vietnamese).
    pub advice_en: &'static str,
    pub advice_vi: &'static str,
}

macro_rules! codes {
    ($($name:ident $code:literal $class:ident $status:literal: $en:literal, $vi:literal; $advice_en:literal, $advice_vi:literal)*) => {
        /// A code of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum Code { $(#[serde(rename = $code)] $name),* }

        /// All codes, in the order of the table.
        pub const ALL: &[Code] = &[$(Code::$name),*];

        impl Code {
            /// The row of this code.
            pub fn entry(self) -> &'static Entry {
                match self { $(Code::$name => &Entry { code: $code, class: Class::$class, status: $status, en: $en, vi: $vi, advice_en: $advice_en, advice_vi: $advice_vi }),* }
            }
        }
    };
}

impl Code {
    /// A hold as the reason why a call is refused: whoever waits for a call is not told that it waits.
    pub fn refused(self) -> Code {
        match self {
            Code::HoldStopped => Code::RefusedStopped,
            Code::HoldPaused => Code::RefusedPaused,
            Code::HoldQuota => Code::RefusedQuota,
            Code::HoldRate => Code::RefusedRate,
            Code::HoldDialer => Code::RefusedDialer,
            Code::HoldBackoff => Code::RefusedBackoff,
            Code::HoldWindow => Code::RefusedWindow,
            Code::HoldDay => Code::RefusedDay,
            Code::HoldHoliday => Code::RefusedHoliday,
            Code::HoldCap => Code::RefusedCap,
            Code::HoldSms => Code::RefusedSms,
            other => other,
        }
    }

    /// The stable name, as in `docs/errors.md`.
    pub fn as_str(self) -> &'static str {
        self.entry().code
    }

    /// The sentence in `language` (`vi`, else English).
    pub fn sentence(self, language: &str) -> &'static str {
        if language == "vi" { self.entry().vi } else { self.entry().en }
    }

    /// What the person who sees it can do, in `language` (`vi`, else English).
    pub fn advice(self, language: &str) -> &'static str {
        if language == "vi" { self.entry().advice_vi } else { self.entry().advice_en }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

codes! {
    BadJson "bad_json" Reject 422: "the body is not readable JSON", "nội dung không phải JSON hợp lệ";
        "Send one JSON document in UTF-8 as the body.", "Hãy gửi nội dung là một tài liệu JSON mã hóa UTF-8."
    BadForm "bad_form" Reject 422: "the body is not a readable form", "nội dung không phải biểu mẫu hợp lệ";
        "Send application/x-www-form-urlencoded text in UTF-8.", "Hãy gửi application/x-www-form-urlencoded mã hóa UTF-8."
    BadEncoding "bad_encoding" Reject 422: "this is not UTF-8 text", "nội dung không phải UTF-8";
        "Send the body encoded as UTF-8.", "Hãy gửi nội dung mã hóa UTF-8."
    TooDeep "too_deep" Reject 422: "the body is nested too deeply", "nội dung lồng nhau quá sâu";
        "Send a flatter document (at most 64 levels).", "Hãy gửi tài liệu ít tầng hơn (tối đa 64 tầng)."
    BadXml "bad_xml" Reject 422: "the body is not readable XML", "nội dung không phải XML hợp lệ";
        "Send one XML document without a document type (DOCTYPE).", "Hãy gửi một tài liệu XML không có DOCTYPE."
    TooManyValues "too_many_values" Reject 422: "the body holds more values than are read at once", "nội dung chứa quá nhiều giá trị";
        "Send fewer records in one delivery.", "Hãy gửi ít bản ghi hơn mỗi lần."
    WrongContentType "wrong_content_type" Reject 415: "this content type is not read here", "kiểu nội dung này không được hỗ trợ";
        "Send the content type the plugin's set-up page names.", "Hãy dùng đúng kiểu nội dung nêu trong hướng dẫn cài đặt."
    TooLarge "too_large" Reject 413: "the body is larger than allowed", "nội dung lớn hơn mức cho phép";
        "Send at most 1 MiB.", "Hãy gửi tối đa 1 MiB."
    TooSlow "too_slow" Reject 408: "the body did not arrive in time", "nội dung không đến kịp thời gian";
        "Check the sender's network and try again.", "Kiểm tra mạng của bên gửi rồi thử lại."
    TooManyItems "too_many_items" Reject 422: "the batch holds more records than allowed", "lô chứa nhiều bản ghi hơn mức cho phép";
        "Send at most 500 records in one delivery.", "Hãy gửi tối đa 500 bản ghi mỗi lần."
    NoVariant "no_variant" Reject 422: "no receive variant of the plugin fits this delivery", "không có cách nhận nào của plugin phù hợp";
        "Compare method, address and body with the plugin's set-up page.", "So sánh phương thức, địa chỉ và nội dung với hướng dẫn của plugin."
    MethodNotAllowed "method_not_allowed" Reject 405: "this method is not taken here", "phương thức này không được hỗ trợ";
        "Use the method the plugin's set-up page names.", "Hãy dùng phương thức nêu trong hướng dẫn của plugin."
    BadSignature "bad_signature" Reject 401: "the signature does not match", "chữ ký không khớp";
        "Compare the secret in the CRM with the one in this connection.", "So sánh mã bí mật trong CRM với mã trong kết nối này."
    MissingSignature "missing_signature" Reject 401: "the delivery carries no signature", "yêu cầu không có chữ ký";
        "Switch signing on in the CRM, or give the right secret.", "Hãy bật ký trong CRM hoặc nhập đúng mã bí mật."
    StaleSignature "stale_signature" Reject 401: "the signature is valid but too old or from the future", "chữ ký đúng nhưng đã quá cũ hoặc ở tương lai";
        "Check the clocks of the CRM and of this server.", "Kiểm tra đồng hồ của CRM và của máy chủ này."
    CaptureClosed "capture_closed" Reject 401: "a CRM handed over secrets while no window was open for it", "CRM gửi mã bí mật khi chưa mở cửa sổ nhận";
        "If it was you: open the window (callbridge connection capture ID), then connect again in the CRM.", "Nếu chính bạn thao tác: mở cửa sổ (callbridge connection capture ID) rồi kết nối lại trong CRM."
    UnknownHook "unknown_hook" Reject 404: "there is no such webhook address", "không có địa chỉ webhook này";
        "Copy the address again from the connection's page.", "Hãy sao chép lại địa chỉ từ trang kết nối."
    ConnectionOff "connection_off" Reject 404: "this connection is switched off", "kết nối này đang tắt";
        "Switch the connection on.", "Hãy bật kết nối."
    OverLimit "over_limit" Retry 429: "too many requests for this key", "quá nhiều yêu cầu với khóa này";
        "Wait for the time in Retry-After, or raise inbound_rate.", "Chờ theo Retry-After, hoặc tăng inbound_rate."
    ExposedLimit "exposed_limit" Retry 429: "a public webhook address is over its cap", "địa chỉ webhook công khai đã vượt giới hạn";
        "Wait for Retry-After; the caps are calls.exposed_per_address, _per_number and _per_day.", "Chờ theo Retry-After; giới hạn là calls.exposed_per_address, _per_number và _per_day."
    CannotStore "cannot_store" Retry 503: "it cannot be stored now", "hiện không thể lưu";
        "Try again after Retry-After; check free disk space.", "Thử lại sau Retry-After; kiểm tra dung lượng đĩa."
    MissingPhone "missing_phone" Reject 422: "the record has no phone number", "bản ghi không có số điện thoại";
        "Give a phone number; in the CRM fill it in, or map the right field.", "Hãy nhập số điện thoại; trong CRM hãy điền số hoặc chọn đúng trường."
    BadPhone "bad_phone" Reject 422: "this is not a phone number that can be dialled", "đây không phải số điện thoại gọi được";
        "Correct the number where it was entered, in the CRM or by hand.", "Hãy sửa số ở nơi đã nhập: trong CRM hoặc chỗ nhập tay."
    ForeignPhone "foreign_phone" Reject 422: "the number is not Vietnamese", "không phải số Việt Nam";
        "Only Vietnamese numbers are dialled, and those of `countries` of the connection, written with + or 00.", "Chỉ gọi số Việt Nam và số của các nước trong `countries` của kết nối, viết với + hoặc 00."
    ServiceNumber "service_number" Reject 422: "service, emergency and short numbers are never dialled", "không gọi số dịch vụ, khẩn cấp và số ngắn";
        "Give a subscriber's number.", "Hãy nhập số thuê bao."
    DuplicateCall "duplicate_call" Reject 409: "the same record and number were asked for a moment ago", "cùng bản ghi và số vừa được yêu cầu gọi";
        "Wait for the duplicate window, or call by hand.", "Chờ hết khoảng chống trùng, hoặc gọi thủ công."
    DoNotCall "do_not_call" Reject 409: "the number is on the do-not-call list", "số nằm trong danh sách không gọi";
        "Do not call; remove it from the list only if the customer asked.", "Không gọi; chỉ gỡ khỏi danh sách nếu khách yêu cầu."
    MissingConsent "missing_consent" Reject 409: "there is no consent for an advertising call", "chưa có đồng ý nhận cuộc gọi quảng cáo";
        "Ask for consent and map its field.", "Hãy xin đồng ý và chọn trường tương ứng."
    LookupFailed "lookup_failed" Misconfigured 502: "the record could not be read from the CRM", "không đọc được bản ghi từ CRM";
        "See the attempt's answer; check token and rights.", "Xem phản hồi; kiểm tra mã truy cập và quyền."
    LookupMissing "lookup_missing" Reject 404: "the record is not in the CRM", "không tìm thấy bản ghi trong CRM";
        "Nothing to do if it was deleted.", "Không cần làm gì nếu bản ghi đã bị xóa."
    MapFailed "map_failed" Misconfigured 500: "the plugin could not map this delivery", "plugin không ánh xạ được yêu cầu này";
        "See the message; correct the plugin.", "Xem thông báo; sửa plugin."
    PluginMissing "plugin_missing" Misconfigured 500: "the connection's plugin is not loaded", "plugin của kết nối chưa được nạp";
        "Run callbridge plugin check.", "Chạy callbridge plugin check."
    NoLine "no_line" Misconfigured 409: "the connection has no line that exists", "kết nối không có máy gọi nào dùng được";
        "Name an existing line in the connection.", "Hãy chọn máy gọi có thật cho kết nối."
    TestMode "test_mode" Reject 409: "test mode: nobody was called", "chế độ thử: không gọi số nào";
        "Set test_phone to be called yourself, or mode = \"live\" to call customers.", "Đặt test_phone để gọi thử vào máy của bạn, hoặc mode = \"live\" để gọi khách."
    Expired "expired" Reject 409: "the call waited longer than allowed", "cuộc gọi chờ quá lâu";
        "Call again if it is still wanted.", "Gọi lại nếu vẫn cần."
    Cancelled "cancelled" Reject 409: "the call was cancelled", "cuộc gọi đã bị hủy";
        "Call again if it is still wanted.", "Gọi lại nếu vẫn cần."
    Lost "lost" Unknown 409: "the phone never reported how the call went", "điện thoại không báo kết quả cuộc gọi";
        "Check the phone's network, then look at its call list.", "Kiểm tra mạng của điện thoại và nhật ký cuộc gọi."
    HoldRate "hold_rate" Retry 409: "waits for the line's rate", "chờ theo tốc độ của máy";
        "Nothing to do.", "Không cần làm gì."
    HoldBusy "hold_busy" Retry 409: "waits until the phone is free", "chờ máy rảnh";
        "Nothing to do.", "Không cần làm gì."
    HoldPaused "hold_paused" Retry 409: "the line is paused", "máy đang tạm dừng";
        "See the reason on the line, then resume it.", "Xem lý do ở máy rồi cho chạy lại."
    HoldOwner "hold_owner" Retry 409: "waits for its owner's line, which does not take it now; then any line takes it", "chờ máy của người phụ trách, hiện chưa gọi được; sau đó máy nào cũng gọi được";
        "Nothing to do; `owner_wait` of the connection says how long.", "Không cần làm gì; `owner_wait` của kết nối quy định chờ bao lâu."
    HoldSilent "hold_silent" Retry 409: "the phone has gone silent", "điện thoại không phản hồi";
        "Check that the phone is on and online.", "Kiểm tra điện thoại có bật và có mạng."
    HoldStopped "hold_stopped" Retry 409: "all calling is stopped", "đã dừng toàn bộ cuộc gọi";
        "Press resume when calling may go on.", "Bấm tiếp tục khi được phép gọi."
    HoldDialer "hold_dialer" Retry 409: "waits for the dialer's service", "chờ dịch vụ gọi";
        "Nothing to do; see the alarm if it lasts.", "Không cần làm gì; xem cảnh báo nếu kéo dài."
    HoldBrake "hold_brake" Retry 409: "more new calls than allowed: waiting for a person", "nhiều cuộc gọi mới hơn mức cho phép: chờ người duyệt";
        "Let them go, let some go, or cancel them: callbridge call release|cancel, see below or OPERATIONS.md.", "Cho gọi, cho gọi một phần, hoặc hủy: callbridge call release|cancel, xem bên dưới hoặc OPERATIONS.md."
    HoldQuota "hold_quota" Retry 409: "the line's month quota is used up", "máy đã dùng hết số lượt của tháng";
        "Wait for next month or raise the quota.", "Chờ sang tháng hoặc tăng hạn mức."
    HoldBackoff "hold_backoff" Retry 409: "waits before it is tried again", "chờ trước khi thử lại";
        "Nothing to do.", "Không cần làm gì."
    HoldSms "hold_sms" Retry 409: "waits: three texts went to this number within 24 hours", "chờ: số này đã nhận 3 tin nhắn trong 24 giờ";
        "Nothing to do: advertising allows three texts a day (Decree 91/2020); switch the text off in the Auto Call app to call sooner.", "Không cần làm gì: quảng cáo chỉ được 3 tin nhắn mỗi ngày (Nghị định 91/2020); tắt gửi kèm tin nhắn trong Auto Call để gọi sớm hơn."
    HoldAgain "hold_again" Retry 409: "waits for the time at which the customer is to be called again", "chờ đến giờ gọi lại khách";
        "Nothing to do; cancel it if the customer was reached otherwise.", "Không cần làm gì; hãy hủy nếu đã liên lạc được với khách."
    HoldWindow "hold_window" Retry 409: "waits for the calling hours", "chờ đến giờ gọi";
        "Nothing to do.", "Không cần làm gì."
    HoldDay "hold_day" Retry 409: "waits for the next calling day", "chờ đến ngày gọi tiếp theo";
        "Nothing to do; the connection's hours say which days.", "Không cần làm gì; giờ gọi của kết nối quy định các ngày."
    HoldHoliday "hold_holiday" Retry 409: "waits until the holiday is over", "chờ hết ngày nghỉ lễ";
        "Nothing to do; see calls.holidays and the company's own days (workspaces.holidays).", "Không cần làm gì; xem calls.holidays và ngày nghỉ riêng của công ty (workspaces.holidays)."
    HoldCap "hold_cap" Retry 409: "the number was called as often as allowed: waits", "số này đã được gọi đủ số lần cho phép: chờ";
        "Nothing to do; max_per_number says how often.", "Không cần làm gì; max_per_number quy định số lần."
    NumberCap "number_cap" Reject 409: "the number was called as often as advertising allows", "số này đã được gọi đủ số lần cho phép với quảng cáo";
        "Do not call again before 24 hours are over.", "Không gọi lại trước khi hết 24 giờ."
    RefusedStopped "refused_stopped" Retry 409: "not called: all calling is stopped, and somebody waited", "không gọi: đã dừng toàn bộ cuộc gọi";
        "Ask for the call again when calling goes on.", "Hãy gọi lại khi được phép gọi tiếp."
    RefusedPaused "refused_paused" Retry 409: "not called: the line is paused, and somebody waited", "không gọi: máy đang tạm dừng";
        "See the reason on the line, resume it, then ask for the call again.", "Xem lý do ở máy, cho chạy lại rồi yêu cầu gọi lại."
    RefusedQuota "refused_quota" Retry 409: "not called: the line's month quota is used up", "không gọi: máy đã dùng hết số lượt của tháng";
        "Ask for the call again next month, or raise the quota.", "Gọi lại vào tháng sau hoặc tăng hạn mức."
    RefusedRate "refused_rate" Retry 409: "not called: the line's rate lets no call go so soon, and somebody waited", "không gọi: máy đã đạt giới hạn tốc độ gọi";
        "Ask for the call again later; the line's rate says how often it may call.", "Hãy yêu cầu gọi lại sau; rate của máy quy định tốc độ gọi."
    RefusedDialer "refused_dialer" Retry 409: "not called: the dialer's service could not be used, and somebody waited", "không gọi: dịch vụ gọi không dùng được lúc đó";
        "Ask for the call again later; see the alarm if it lasts.", "Hãy yêu cầu gọi lại sau; xem cảnh báo nếu kéo dài."
    RefusedBackoff "refused_backoff" Retry 409: "not called: the dialer had an error, and somebody waited", "không gọi: dịch vụ gọi báo lỗi, chưa kịp thử lại";
        "Ask for the call again.", "Hãy yêu cầu gọi lại."
    RefusedWindow "refused_window" Retry 409: "not called: it is outside the calling hours", "không gọi: ngoài giờ gọi";
        "Ask for the call again within the calling hours.", "Hãy yêu cầu gọi lại trong giờ gọi."
    RefusedDay "refused_day" Retry 409: "not called: today is no calling day", "không gọi: hôm nay không phải ngày gọi";
        "Ask for the call again on a calling day; the connection's hours say which days.", "Hãy yêu cầu gọi lại vào ngày gọi; giờ gọi của kết nối quy định các ngày."
    RefusedHoliday "refused_holiday" Retry 409: "not called: today is a holiday", "không gọi: hôm nay là ngày nghỉ lễ";
        "Ask for the call again after the holiday; see calls.holidays and the company's own days (workspaces.holidays).", "Hãy yêu cầu gọi lại sau ngày nghỉ; xem calls.holidays và ngày nghỉ riêng của công ty (workspaces.holidays)."
    RefusedCap "refused_cap" Retry 409: "not called: the number was called as often as allowed", "không gọi: số này đã được gọi đủ số lần cho phép";
        "Ask for the call again later; max_per_number says how often a number is called.", "Hãy yêu cầu gọi lại sau; max_per_number quy định số lần gọi một số."
    RefusedSms "refused_sms" Retry 409: "not called: three texts went to this number within 24 hours", "không gọi: số này đã nhận 3 tin nhắn trong 24 giờ";
        "Ask for the call again tomorrow, or switch the text off in the Auto Call app: advertising allows three texts a day (Decree 91/2020).", "Hãy yêu cầu gọi lại vào ngày mai, hoặc tắt gửi kèm tin nhắn trong Auto Call: quảng cáo chỉ được 3 tin nhắn mỗi ngày (Nghị định 91/2020)."
    HoldRemoved "hold_removed" Misconfigured 409: "its connection was taken out of the configuration", "kết nối đã bị gỡ khỏi cấu hình";
        "Put the connection back, or cancel the call.", "Đưa kết nối trở lại hoặc hủy cuộc gọi."
    HoldLineRemoved "hold_line_removed" Misconfigured 409: "the line that was chosen for it was taken out of the configuration", "máy gọi được chọn cho cuộc gọi đã bị gỡ khỏi cấu hình";
        "Put the line back, or cancel such calls: callbridge call cancel --hold line_removed.", "Đưa máy gọi trở lại hoặc hủy các cuộc gọi đó: callbridge call cancel --hold line_removed."
    Dialer2111 "dialer_2111" Reject 409: "the dialer says the phone or the secret key is empty (2111)", "dịch vụ báo Secret Key hoặc số điện thoại trống (2111)";
        "Check the number on the record.", "Kiểm tra số điện thoại trên bản ghi."
    Dialer2112 "dialer_2112" Misconfigured 409: "the dialer says the line's secret key is wrong (2112)", "Secret Key không đúng (2112)";
        "On this line's phone open the Auto Call app: menu at the top right, Cấu hình gọi điện qua API, press LẤY, then LƯU LẠI; put the Secret Key into this line's secret_key.", "Trên điện thoại của máy này mở Auto Call: Menu góc trên bên phải, Cấu hình gọi điện qua API, bấm LẤY rồi LƯU LẠI; chép Secret Key vào secret_key của máy này."
    Dialer2113 "dialer_2113" Misconfigured 409: "the dialer does not find the account (2113)", "không tìm thấy tài khoản (2113)";
        "The account behind this line's Secret Key is gone: open the Auto Call app on its phone, log in, press LẤY in Cấu hình gọi điện qua API; else ask the vendor's support.", "Tài khoản của Secret Key này không còn: mở Auto Call trên điện thoại, đăng nhập, bấm LẤY trong Cấu hình gọi điện qua API; nếu vẫn lỗi, liên hệ hỗ trợ của nhà cung cấp."
    Dialer2114 "dialer_2114" Misconfigured 409: "the account is not activated (2114)", "tài khoản chưa được kích hoạt (2114)";
        "Activate the licence in the Auto Call app on this line's phone (licences are per device), then resume the line.", "Kích hoạt bản quyền trong ứng dụng Auto Call trên điện thoại của máy này (bản quyền theo từng thiết bị), rồi cho máy chạy lại."
    Dialer2115 "dialer_2115" Misconfigured 409: "the account may not call through the API (2115)", "tài khoản không được phép gọi điện qua API (2115)";
        "Ask the vendor to allow calling through the API for this line's account, then resume the line.", "Đề nghị nhà cung cấp mở quyền gọi qua API cho tài khoản của máy này, rồi cho máy chạy lại."
    Dialer2116 "dialer_2116" Misconfigured 409: "calling through the API is switched off in the app (2116)", "tính năng gọi điện qua API đang TẮT (2116)";
        "Switch it on again in the Auto Call app on this line's phone: Menu, Cấu hình gọi điện qua API (LẤY if the Secret Key was deleted), LƯU LẠI. A probe tries every 15 minutes.", "Bật lại trong Auto Call trên điện thoại của máy này: Menu, Cấu hình gọi điện qua API (bấm LẤY nếu Secret Key đã bị xóa), LƯU LẠI. Cứ 15 phút hệ thống tự thử lại."
    Dialer2117 "dialer_2117" Misconfigured 409: "the line's secret key has expired (2117)", "Secret Key đã hết hạn (2117)";
        "On this line's phone press LẤY in Cấu hình gọi điện qua API for a new Secret Key, LƯU LẠI, and put it into this line's secret_key: its queue goes on by itself.", "Trên điện thoại của máy này bấm LẤY trong Cấu hình gọi điện qua API để lấy Secret Key mới, LƯU LẠI, rồi chép vào secret_key của máy này: hàng chờ tự chạy tiếp."
    Dialer2118 "dialer_2118" Retry 409: "the month's API requests are used up (2118)", "đã dùng hết số lượt gọi API của tháng (2118)";
        "Wait for next month or buy a larger plan from the vendor; a probe tries once a day.", "Chờ sang tháng hoặc nâng gói với nhà cung cấp; mỗi ngày hệ thống tự thử lại một lần."
    Dialer2222 "dialer_2222" Retry 409: "the dialer reports a system error (2222)", "dịch vụ báo lỗi hệ thống (2222)";
        "Nothing to do; it is tried again at most twice.", "Không cần làm gì; sẽ thử lại tối đa hai lần."
    DialerUnknownCode "dialer_unknown_code" Misconfigured 409: "the dialer answered with a code that is not documented", "dịch vụ trả về mã lỗi chưa được công bố";
        "See the raw answer on the line; ask the vendor.", "Xem phản hồi gốc ở máy; hỏi nhà cung cấp."
    DialerUnreachable "dialer_unreachable" Retry 409: "the dialer cannot be reached", "không kết nối được dịch vụ gọi";
        "Check this server's network.", "Kiểm tra mạng của máy chủ."
    DialerBusy "dialer_busy" Retry 409: "the dialer asks to slow down (429)", "dịch vụ yêu cầu chậm lại (429)";
        "Nothing to do.", "Không cần làm gì."
    DialerMisconfigured "dialer_misconfigured" Misconfigured 409: "the dialer's address answers like something else", "địa chỉ dịch vụ gọi không đúng";
        "Check dialer.url (with its slash at the end).", "Kiểm tra dialer.url (có dấu / ở cuối)."
    DialerUnclear "dialer_unclear" Unknown 409: "nobody knows whether the dialer took the call", "không rõ dịch vụ đã nhận cuộc gọi chưa";
        "Wait for the report; redial only if the phone shows no call.", "Chờ báo cáo; chỉ gọi lại nếu điện thoại không có cuộc gọi."
    ConnectionFailing "connection_failing" Misconfigured 502: "the CRM refuses our requests", "CRM từ chối yêu cầu của callbridge";
        "Check the connection's token and rights in the CRM; callbridge connection show ID shows the state.", "Kiểm tra mã truy cập và quyền của kết nối trong CRM; callbridge connection show ID cho thấy trạng thái."
    NotSubscribed "not_subscribed" Misconfigured 502: "the webhook could not be registered at the CRM", "không đăng ký được webhook tại CRM";
        "See the detail: check the connection's rights in the CRM and server.public_url; callbridge connection subscribe ID tries at once.", "Xem chi tiết: kiểm tra quyền của kết nối trong CRM và server.public_url; callbridge connection subscribe ID để thử lại ngay."
    WebhookLeft "webhook_left" Misconfigured 409: "a webhook is left at a CRM: its connection or its plugin no longer knows of it", "webhook còn lại ở CRM: kết nối hoặc plugin không còn biết đến nó";
        "Delete it in the CRM, then callbridge connection unsubscribe ID. Or put the connection back with mode = \"off\": then it is deleted by itself.", "Xóa webhook đó trong CRM, rồi chạy callbridge connection unsubscribe ID. Hoặc khai báo lại kết nối với mode = \"off\" để callbridge tự xóa."
    SecretEnds "secret_ends" Misconfigured 502: "a key of this connection ends soon", "mã truy cập của kết nối sắp hết hạn";
        "Make a new key in the CRM and enter it with its new date before the old one ends.", "Tạo mã mới trong CRM và điền vào kết nối cùng ngày hết hạn mới trước khi mã cũ hết hạn."
    SecretEnded "secret_ended" Misconfigured 502: "a key of this connection has ended", "mã truy cập của kết nối đã hết hạn";
        "Make a new key in the CRM and enter it with its new date: results wait until then.", "Tạo mã mới trong CRM và điền vào kết nối cùng ngày hết hạn mới: kết quả đang chờ đến lúc đó."
    Backlog "backlog" Retry 503: "more and more is waiting", "số lượng đang chờ ngày càng tăng";
        "See which lines are paused or silent (callbridge line list) and whether the CRM answers.", "Xem máy nào đang tạm dừng hoặc không phản hồi (callbridge line list) và CRM có trả lời không."
    OutboundBlocked "outbound_blocked" Misconfigured 409: "the address is not one callbridge may connect to", "địa chỉ này không được phép kết nối";
        "Allow the network in outbound.allow_networks if it is really yours.", "Cho phép mạng trong outbound.allow_networks nếu đúng là của bạn."
    Unauthorized "unauthorized" Reject 401: "the API key is missing or wrong", "thiếu hoặc sai khóa API";
        "Send Authorization: Bearer <api key>.", "Gửi Authorization: Bearer <khóa API>."
    Forbidden "forbidden" Reject 403: "this key may not do that", "khóa này không được phép làm việc đó";
        "Use a key with a higher role, or ask an admin.", "Dùng khóa có vai trò cao hơn hoặc nhờ quản trị viên."
    NotFound "not_found" Reject 404: "there is no such thing", "không tìm thấy";
        "Check the id or address.", "Kiểm tra mã hoặc địa chỉ."
    Conflict "conflict" Reject 409: "that is not possible in the present state", "không thể thực hiện ở trạng thái hiện tại";
        "See the state and the reason.", "Xem trạng thái và lý do."
    NumberColumn "number_column" Reject 422: "nothing says which column holds the phone numbers", "không rõ cột nào là số điện thoại";
        "Name the column by its heading or its place (--column).", "Ghi tên cột hoặc số thứ tự của cột (--column)."
    UnclosedQuote "unclosed_quote" Reject 422: "a quote opens a cell and is never closed", "ô mở ngoặc kép nhưng không đóng";
        "Close it in the file, or leave the quotes out; the rows behind it were read.", "Đóng ngoặc kép trong tệp hoặc bỏ đi; các dòng phía sau vẫn được đọc."
    BadRequest "bad_request" Reject 400: "the request is not understood", "không hiểu yêu cầu";
        "See the detail.", "Xem chi tiết."
    Internal "internal" Bug 500: "callbridge failed inside", "lỗi bên trong callbridge";
        "Look in the log for this request's id and report it.", "Xem nhật ký theo mã yêu cầu và báo lỗi."
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Words that have a Vietnamese one: what stays is the names of settings and commands, of the vendor, and plugin, webhook, callbridge.
    const ENGLISH: [&str; 14] =
        ["workspace", "brake", "backlog", "hold", "queue", "call", "calls", "line", "lines", "item", "items", "request", "requests", "report"];

    #[test]
    fn vietnamese_sentences_have_no_english_word_of_ours() {
        for entry in ALL.iter().map(|code| code.entry()) {
            for text in [entry.vi, entry.advice_vi] {
                // A command ends with its sentence.
                let prose: String = text
                    .split("callbridge ")
                    .enumerate()
                    .map(|(i, part)| if i == 0 { part } else { part.split_once([',', ';', '.', ')']).map_or("", |(_, rest)| rest) })
                    .collect();
                let words = prose.replace("Auto Call", "").to_lowercase();
                let found =
                    words.split(|c: char| !c.is_alphanumeric() && !"._".contains(c)).map(|word| word.trim_matches('.')).find(|word| ENGLISH.contains(word));
                assert_eq!(found, None, "{}: {text}", entry.code);
            }
        }
    }
}
