//! The promises of `model::qcschema::python_json`.

use super::*;

fn python_text(value: &str) -> String {
    let mut text = String::new();
    write_value(&mut text, &serde_json::from_str(value).unwrap());
    text
}

#[test]
fn floats_are_written_as_python_writes_them() {
    for (float, expected) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (-1.431, "-1.431"),
        (0.1, "0.1"),
        (1.0 / 3.0, "0.3333333333333333"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (-0.0000625, "-6.25e-05"),
        (1.5e-7, "1.5e-07"),
        (1_595_245_767_325_691.2, "1595245767325691.2"),
        (5e-324, "5e-324"),
        (123456789012345680.0, "1.2345678901234568e+17"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (-1e100, "-1e+100"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
    ] {
        let mut text = String::new();
        write_float(&mut text, float);
        assert_eq!(text, expected);
    }
}

#[test]
fn keys_are_sorted_and_strings_are_ascii() {
    assert_eq!(
        python_text(r#"{"b": [1, -2, 1.0, true, null], "a": "é😀\u007f\n\"\\/"}"#),
        r#"{"a": "\u00e9\ud83d\ude00\u007f\n\"\\/", "b": [1, -2, 1.0, true, null]}"#
    );
    assert_eq!(python_text("{}"), "{}");
    assert_eq!(python_text("18446744073709551615"), "18446744073709551615");
}
