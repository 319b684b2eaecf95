//! Foreign text as comma-separated values: RFC 4180, safe for spreadsheets and for terminals.
//!
//! Who can push an image can write into most cells, and whoever opens the file trusts it. So a cell
//! that a spreadsheet would take for a formula begins with an apostrophe, and what could steer a
//! terminal is replaced. Deliberately absent: a form that gives every byte back; that is JSON.

use super::table::printable;

/// A line of cells, with its end.
pub(super) fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    cells.into_iter().map(cell).collect::<Vec<_>>().join(",") + "\n"
}

fn cell(text: &str) -> String {
    // Lines and tabs harm nobody, and a returned text may well have them.
    let lines = text.replace("\r\n", "\n");
    let kept = lines.split('\n').map(|line| {
        let parts: Vec<_> = line.split('\t').map(printable).collect();
        parts.join("\t")
    });
    let mut safe = kept.collect::<Vec<_>>().join("\n");
    if is_formula(&safe) {
        safe.insert(0, '\'');
    }
    if safe.contains([',', '"', '\n']) {
        format!("\"{}\"", safe.replace('"', "\"\""))
    } else {
        safe
    }
}

/// Whether a spreadsheet would work it out, the wide forms of East Asian ones included. A negative
/// number is none.
fn is_formula(text: &str) -> bool {
    let begins = text.trim_start();
    let wide = ['＝', '＋', '－', '＠'];
    (begins.starts_with(['=', '+', '-', '@']) || begins.starts_with(wide))
        && text.parse::<i64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn what_a_spreadsheet_would_work_out_is_text() {
        for formula in ["=cmd()", "+1+1", "-1+1", "@SUM(A1)", "\t=a", " =a", "\n=a", "＝a", "-"] {
            let line = line([formula]);
            let bare = line.strip_prefix('"').unwrap_or(&line);
            assert_eq!(bare.chars().next(), Some('\''), "{formula:?} became {line:?}");
        }
        assert_eq!(line(["-1", "0", "v1=2", "a-b", ""]), "-1,0,v1=2,a-b,\n");
    }

    #[test]
    fn a_terminal_is_not_steered_and_lines_and_quotes_survive() {
        assert_eq!(line(["a\u{1b}[2Jb\u{9b}1m\u{202e}"]), "a\u{fffd}[2Jb\u{fffd}1m\u{fffd}\n");
        assert_eq!(line(["one\r\ntwo\tthree", "a\rb"]), "\"one\ntwo\tthree\",a\u{fffd}b\n");
        assert_eq!(line(["=\"a\",b"]), "\"'=\"\"a\"\",b\"\n");
    }
}
