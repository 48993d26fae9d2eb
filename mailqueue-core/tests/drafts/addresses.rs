//! Which addresses and mailboxes are read, and as what.

use mailqueue_core::domain::address::{Address, Mailbox};
use proptest::prelude::*;

use super::anything;

#[test]
fn addresses_are_accepted() {
    for (text, stored) in [
        ("ana@example.com", "ana@example.com"),
        ("Ana.Silva+tag@EXAMPLE.Com", "Ana.Silva+tag@example.com"),
        ("o'hara_#$&*/=?^`{|}~-x@a-b.example.co.uk", "o'hara_#$&*/=?^`{|}~-x@a-b.example.co.uk"),
        ("\"a b\"@c.example", "\"a b\"@c.example"), // B39
        ("\"a@b\"@c.example", "\"a@b\"@c.example"),
        (r#""a\"\\b"@c.example"#, r#""a\"\\b"@c.example"#),
        ("a@пример.рф", "a@xn--e1afmkfd.xn--p1ai"), // B40
        ("a@BÜCHER.example", "a@xn--bcher-kva.example"),
        ("a@xn--bcher-kva.example", "a@xn--bcher-kva.example"),
        ("josé@example.com", "josé@example.com"),
        ("a@1.example", "a@1.example"),
        ("a@example.c0", "a@example.c0"),
    ] {
        let address: Address = text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"));
        assert_eq!(address.as_str(), stored);
        assert_eq!(format!("{}@{}", address.local(), address.domain()), stored);
        assert_eq!(address.needs_smtputf8(), !stored.is_ascii());
    }
}

#[test]
fn addresses_are_refused() {
    for text in [
        "",
        "@",
        "a",
        "a@",
        "@example.com",
        "a b@example.com",
        "a@exam ple.com",
        " a@example.com",
        "a@example.com ",
        ".a@example.com",
        "a.@example.com",
        "a..b@example.com",
        "a@b@example.com",
        "<a@example.com>",
        "a,b@example.com",
        "a@example..com",
        "a@.example.com",
        "a@example.com.",
        "a@-example.com",
        "a@example-.com",
        "a@ex_ample.com",
        "a@localhost",
        "a@127.0.0.1",
        "a@[127.0.0.1]",
        "a@[::1]",
        "a@[IPv6:::1]",
        "a@e",
        "a@example.c", // B36
        "-oQ/tmp@e.com",
        "a%b@e.com",
        "a!b@e.com",
        "@a.com:b@c.com", // B37
        "\"a@example.com",
        "a\"@example.com",
        "\"a\"b\"@example.com",
        "\"a\\\"@example.com",
        "\"a\r\nb\"@example.com",
        "\"a\0b\"@example.com",
        "\"é\"@example.com",
        "\"\\\r\"@example.com", // B39
        "a\r\n@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "a\0@example.com",
        "a\u{202e}@example.com",
        "a\u{a0}b@example.com",
        "a@exa\u{0}mple.com",
        "a@\u{202e}example.com",
        "a@xn--a.example",
        "a(comment)@example.com",
        "a:b@example.com",
        "a;b@example.com",
        "a\\b@example.com",
    ] {
        assert!(text.parse::<Address>().is_err(), "{text:?}");
    }
}

/// B35
#[test]
fn addresses_are_not_too_long() {
    let local = |length: usize| format!("{}@example.com", "a".repeat(length)).parse::<Address>();
    assert!(local(64).is_ok() && local(65).is_err());
    let utf8 = |letters: usize| format!("{}@example.com", "é".repeat(letters)).parse::<Address>();
    assert!(utf8(32).is_ok() && utf8(33).is_err(), "octets count, not letters");
    let label = |length: usize| format!("a@{}.com", "b".repeat(length)).parse::<Address>();
    assert!(label(63).is_ok() && label(64).is_err());
    let domain =
        |rest: usize| format!("a@{}{}.com", format!("{}.", "b".repeat(61)).repeat(4 - 1), "c".repeat(rest));
    let whole = |local: usize, rest: usize| format!("{}{}", "a".repeat(local - 1), domain(rest));
    let fits = whole(4, 254 - 4 - 1 - 186 - 4);
    assert_eq!(fits.len(), 254);
    assert!(fits.parse::<Address>().is_ok());
    assert!(format!("a{fits}").parse::<Address>().is_err());
}

#[test]
fn mailboxes_are_read() {
    for (text, name, address) in [
        ("ana@example.com", None, "ana@example.com"),
        ("  ana@example.com  ", None, "ana@example.com"),
        ("<ana@example.com>", None, "ana@example.com"),
        ("\"\" <ana@example.com>", None, "ana@example.com"),
        ("\"  \" <ana@example.com>", None, "ana@example.com"),
        ("Ana<ana@example.com>", Some("Ana"), "ana@example.com"),
        ("Ana Silva <ana@example.com>", Some("Ana Silva"), "ana@example.com"),
        ("\"Silva, Ana\" <ana@example.com>", Some("Silva, Ana"), "ana@example.com"),
        ("\" Ana \" <ana@example.com>", Some("Ana"), "ana@example.com"),
        (r#""A \"B\" \\C" <ana@example.com>"#, Some(r#"A "B" \C"#), "ana@example.com"),
        ("João ✓ <ana@example.com>", Some("João ✓"), "ana@example.com"),
        ("a@b.example <ana@example.com>", Some("a@b.example"), "ana@example.com"),
        ("\"a <b>\" <ana@example.com>", Some("a <b>"), "ana@example.com"),
        ("\"a b\"@example.com", None, "\"a b\"@example.com"),
        ("Ana <\"a<b>\"@example.com>", Some("Ana"), "\"a<b>\"@example.com"),
        ("Ana <\"a b\"@example.com>", Some("Ana"), "\"a b\"@example.com"),
    ] {
        let mailbox: Mailbox = text.parse().unwrap_or_else(|fault| panic!("{text}: {fault}"));
        assert_eq!((mailbox.name.as_deref(), mailbox.address.as_str()), (name, address), "{text}");
    }
    for text in [
        "",
        "Ana",
        "Ana <>",
        "Ana <ana>",
        "Ana ana@example.com",
        "<a@example.com",
        "a@example.com>",
        "Ana <a@b.example> x",
    ] {
        assert!(text.parse::<Mailbox>().is_err(), "{text:?}");
    }
    assert!(format!("{} <a@example.com>", "n".repeat(320)).parse::<Mailbox>().is_ok());
    assert!(format!("{} <a@example.com>", "n".repeat(321)).parse::<Mailbox>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_address_reads_back_as_itself(text in prop_oneof![anything(), "[a-z\"\\\\ ]{1,5}@[a-z.]{1,8}\\.(com|рф)"]) {
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.as_str().parse::<Address>(), Ok(address.clone()));
            prop_assert!(address.as_str().len() <= 254 && address.domain().is_ascii());
            prop_assert!(!address.as_str().contains(char::is_control));
        }
    }

    #[test]
    fn a_mailbox_reads_back_as_itself(
        name in anything(),
        address in prop_oneof![3 => Just("ana@example.com".to_owned()), 1 => anything()],
    ) {
        for text in [format!("{name} <{address}>"), format!("\"{name}\" <{address}>"), name] {
            if let Ok(mailbox) = text.parse::<Mailbox>() {
                let json = serde_json::to_string(&mailbox).expect("a string");
                prop_assert_eq!(serde_json::from_str::<Mailbox>(&json).expect(&json), mailbox);
            }
        }
    }
}
