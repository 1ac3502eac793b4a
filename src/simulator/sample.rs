//! The demo's customers and how each one's phone behaves: made up, with numbers in the ways people write them.

use super::mood::{Mood, Moods};

/// One customer of the demo.
pub(super) struct Sample {
    pub name: &'static str,
    /// As written in the CRM.
    pub phone: &'static str,
    pub gender: &'static str,
    pub company: &'static str,
    pub city: &'static str,
    pub stage: &'static str,
    pub owner: &'static str,
    pub info: &'static str,
    /// The number as it reaches the dialer, and its mood; empty where it never gets there.
    plays: (&'static str, Mood),
}

/// How the demo's customers react when they are called.
pub fn demo_moods() -> Moods {
    let by_phone = CUSTOMERS.iter().filter(|c| !c.plays.0.is_empty()).map(|c| (c.plays.0.to_owned(), c.plays.1)).collect();
    Moods { everyone: Mood::Mixed, by_phone, ..Moods::default() }
}

macro_rules! customers {
    ($($name:literal $phone:literal $gender:literal, $company:literal $city:literal, $stage:literal $owner:literal, $info:literal => $dialled:literal $mood:ident)*) => {
        pub(super) const CUSTOMERS: &[Sample] = &[$(Sample {
            name: $name, phone: $phone, gender: $gender, company: $company, city: $city, stage: $stage, owner: $owner, info: $info,
            plays: ($dialled, Mood::$mood),
        }),*];
    };
}

customers! {
    "Nguyễn Thị Mai" "0912 345 678" "female", "Nội thất Mộc An" "Hà Nội", "quoted" "lan",
        "Hỏi báo giá bộ bàn ăn gỗ sồi 6 ghế, giao trước Tết." => "0912345678" Answers
    "Trần Văn Hùng" "0987.654.321" "male", "Xây dựng Hùng Phát" "Đà Nẵng", "contacted" "minh",
        "Cần tư vấn cửa nhôm cho công trình 4 tầng." => "0987654321" ReportLateWithNotes
    "Lê Thị Thu Hà" "0903 112 233" "female", "Spa Hoa Sứ" "TP. Hồ Chí Minh", "new" "lan",
        "Để lại số trên trang web, hỏi gói chăm sóc da." => "0903112233" NoAnswer
    "Phạm Quốc Bảo" "0938777909" "male", "Cá nhân" "Cần Thơ", "contacted" "khoa",
        "Từng mua hàng năm ngoái, gọi giới thiệu gói bảo trì." => "0938777909" NotInterested
    "Công ty TNHH Minh Long" "(028) 3822 9876" "company", "Minh Long" "TP. Hồ Chí Minh", "customer" "minh",
        "Xác nhận lịch bảo dưỡng máy in quý này." => "02838229876" Answers
    "Võ Minh Tuấn" "+84 977 123 456" "male", "Nhà xe Tuấn Võ" "Nha Trang", "quoted" "khoa",
        "Đã gửi báo giá lốp xe, chờ phản hồi." => "0977123456" Busy
    "Đặng Ngọc Anh" "0168 234 5678" "female", "Tiệm bánh Ngọc" "Hải Phòng", "customer" "lan",
        "Số cũ 11 chữ số, khách vẫn dùng. Hỏi lò nướng 90 lít." => "0382345678" Answers
    "Hoàng Gia Linh" "09123-45" "female", "Thời trang Linh" "Hà Nội", "new" "khoa",
        "Số điện thoại nhập thiếu, cần xin lại qua email." => "" Answers
    "Bùi Thanh Sơn" "0965 432 109" "male", "Nông sản Sơn Bùi" "Đà Lạt", "contacted" "minh",
        "Hẹn gọi lại về hợp đồng cung cấp rau cho siêu thị." => "0965432109" ReportTwice
    "Ngô Thị Kim Chi" "" "female", "Mầm non Hướng Dương" "Biên Hòa", "new" "lan",
        "Chỉ có email. Hỏi đồng phục cho 120 bé." => "" Answers
    "Dương Hải Yến" "0886 123 789" "female", "Khách sạn Hải Yến" "Phú Quốc", "paused" "minh",
        "Tạm dừng tới mùa du lịch, hẹn gọi lại tháng này." => "0886123789" Answers
    "Phan Đức Thịnh" "0345 678 901" "male", "Cơ khí Đức Thịnh" "Bình Dương", "quoted" "khoa",
        "Đang so sánh giá máy nén khí 15 HP." => "0345678901" Mixed
}
