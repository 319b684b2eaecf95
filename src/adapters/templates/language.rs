//! The language of what we add to a template's own words: marks of cuts, ages, durations.
//!
//! A template whose name ends in `-zh` speaks Chinese, every other English.

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// English.
    English,
    /// Chinese.
    Chinese,
}

impl Language {
    /// The language of the template of that name.
    pub(super) fn of(template: &str) -> Self {
        if template == "zh" || template.ends_with("-zh") { Self::Chinese } else { Self::English }
    }

    /// The visible mark of a cut.
    pub(super) fn more_characters(self, count: usize) -> String {
        let count = grouped(count);
        match self {
            Self::English => format!("… {count} more characters"),
            Self::Chinese => format!("……（还有 {count} 个字符）"),
        }
    }

    /// That a message was meant for another receiver.
    pub(super) fn meant_for(self, receiver: &str) -> String {
        match self {
            Self::English => format!("↪ Meant for {receiver}, which takes no messages now"),
            Self::Chinese => format!("↪ 本应发往 {receiver}，其暂时无法接收"),
        }
    }

    /// The visible mark of things left out of a list.
    pub(super) fn more_things(self, count: usize) -> String {
        let count = grouped(count);
        match self {
            Self::English => format!("+{count} more"),
            Self::Chinese => format!("……另有 {count} 条"),
        }
    }

    /// A span of seconds, in its two greatest units.
    pub(super) fn duration(self, seconds: i64) -> String {
        let seconds = seconds.unsigned_abs();
        let units: [(u64, &str, &str); 4] =
            [(86_400, "d", " 天"), (3_600, "h", " 小时"), (60, "m", " 分"), (1, "s", " 秒")];
        let first = units.iter().position(|(size, ..)| seconds >= *size).unwrap_or(3);
        let (size, english, chinese) = units[first];
        let unit = |english, chinese| if self == Self::English { english } else { chinese };
        let mut out = format!("{}{}", seconds / size, unit(english, chinese));
        if let Some((small, english, chinese)) = units.get(first + 1)
            && seconds % size / small > 0
        {
            let rest = seconds % size / small;
            out.push_str(&format!(" {rest}{}", unit(english, chinese)));
        }
        out
    }

    /// How long ago something was, or how far ahead it is.
    pub(super) fn ago(self, seconds: i64) -> String {
        let span = self.duration(seconds);
        match (self, seconds) {
            (Self::English, 0) => "just now".to_owned(),
            (Self::Chinese, 0) => "刚刚".to_owned(),
            (Self::English, 1..) => format!("{span} ago"),
            (Self::English, _) => format!("in {span}"),
            (Self::Chinese, 1..) => format!("{span}前"),
            (Self::Chinese, _) => format!("{span}后"),
        }
    }
}

/// A number with its thousands set apart.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_told_in_their_two_greatest_units() {
        assert_eq!(Language::English.duration(0), "0s");
        assert_eq!(Language::English.duration(59), "59s");
        assert_eq!(Language::English.duration(60), "1m");
        assert_eq!(Language::English.duration(200), "3m 20s");
        assert_eq!(Language::English.duration(3_605), "1h");
        assert_eq!(Language::English.duration(90_000), "1d 1h");
        assert_eq!(Language::Chinese.duration(200), "3 分 20 秒");
        assert_eq!(Language::English.ago(-60), "in 1m");
        assert_eq!(Language::Chinese.ago(60), "1 分前");
    }

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234), "1,234");
        assert_eq!(grouped(1_234_567), "1,234,567");
    }
}
