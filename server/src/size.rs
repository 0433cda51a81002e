//! Sizes as people write them: bytes by powers of 1024.

/// Reads a size: `1000`, `64KiB`, `256MiB`, `1GiB`, `2TiB`.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let power = match unit {
        "" => Some(0),
        "KiB" => Some(10),
        "MiB" => Some(20),
        "GiB" => Some(30),
        "TiB" => Some(40),
        _ => None,
    };
    let bytes = power.and_then(|power| number.parse::<u64>().ok()?.checked_mul(1 << power));
    bytes.ok_or_else(|| format!("{text:?} is no size; write it like 64KiB, 256MiB or 1GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_people_write_it() {
        for (text, bytes) in [("1000", 1000), ("0", 0), ("64KiB", 65_536), ("1GiB", 1 << 30), ("2TiB", 2 << 40)] {
            assert_eq!(parse(text), Ok(bytes));
        }
        for text in ["", "MiB", "1MB", "-1", "1.5GiB", "99999999TiB", "1 GiB"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
