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
    let endless = format!("a@{}.example", "й".repeat(5 << 20));
    assert!(endless.parse::<Address>().is_err());
    assert!(format!("{}{endless}>", "<".repeat(100)).parse::<Mailbox>().is_err());
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
        ("Ana (Lisboa): S. [x] \\ <ana@example.com>", Some("Ana (Lisboa): S. [x] \\"), "ana@example.com"),
        ("Ana \"Nina, N.\" Silva <ana@example.com>", Some("Ana \"Nina, N.\" Silva"), "ana@example.com"),
        ("5\" x 7\" Prints <ana@example.com>", Some("5\" x 7\" Prints"), "ana@example.com"),
        ("12\" Vinyl <ana@example.com>", Some("12\" Vinyl"), "ana@example.com"),
        ("\"a@b.example; c\" <ana@example.com>", Some("a@b.example; c"), "ana@example.com"),
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

/// A list taken for one mailbox would leave everybody in it but the last without the message.
#[test]
fn a_string_holds_one_mailbox() {
    for text in [
        "A <a@b.com>, B <c@d.com>",
        "A <a@b.com>; B <c@d.com>",
        "A <a@b.com> B <c@d.com>",
        "\"A\" <a@b.com>, \"B\" <c@d.com>",
        "\"A\", \"B\" <c@d.com>",
        "a@b.com, c@d.com",
        "a@b.com, B <c@d.com>",
        "a@b.com <c@d.com>",
        "<a@b.com>, <c@d.com>",
        "<a@b.com> <c@d.com>",
        "A <a@b.com>, c@d.com",
        "Doe, John <a@b.com>",
        "Team; <a@b.com>",
        "A > B <a@b.com>",
        "A < B <a@b.com>",
        "A\" <a@b.com>, B <c@d.com>",
        "\"A\\\" <a@b.com>, B <c@d.com>",
        "Team: A <a@b.com>, B <c@d.com>;",
    ] {
        assert!(text.parse::<Mailbox>().is_err(), "{text}");
    }
}

/// What IDNA 2008 does not allow is not made into something else: that would be somebody else's domain.
#[test]
fn domains_are_not_mapped() {
    for domain in [
        "\u{fb01}sh.com",      // ligature
        "ｅxample.com",        // full width
        "ⓔxample.com",         // circled
        "exam\u{ad}ple.com",   // soft hyphen
        "exam\u{200b}ple.com", // zero-width space
        "exam\u{200c}ple.com", // joiners out of place
        "exam\u{200d}ple.com",
        "exam\u{2060}ple.com",
        "\u{feff}example.com", // byte order mark
        "example.com\u{feff}",
        "b\u{fc}cher\u{fe0f}.com", // variation selector
        "b\u{fc}ch\u{34f}er.com",
        "example。com", // other full stops
        "example．com",
        "\u{212a}elvin.com", // the sign for Kelvin
        "\u{212b}ngstrom.com",
        "mea\u{17f}ure.com", // long s
        "n\u{ba}1.com",      // superscripts and the like
        "m².com",
        "①.com",
        "℡.com",
        "㎏.com",
        "½.com",
        "\u{1c80}ода.com", // another form of a letter
        "☃.com",           // symbols
        "i♥u.com",
        "😀.com",
        "a·b.com", // marks out of place
        "α͵.com",
        "a׳.com",
        "a・b.com",
        "جـج.com",      // tatweel
        "٣۴.com",       // two kinds of digits
        "aא.com",       // both directions
        "\u{301}a.com", // begins with a mark
        "b\u{fc}--cher.com",
    ] {
        assert!(format!("a@{domain}").parse::<Address>().is_err(), "{domain:?}");
    }
}

#[test]
fn letters_of_all_scripts_are_domains() {
    for (domain, stored) in [
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("bu\u{308}cher.example", "xn--bcher-kva.example"),
        ("BU\u{308}CHER.example", "xn--bcher-kva.example"),
        ("faß.de", "xn--fa-hia.de"),
        ("βόλος.com", "xn--nxasmm1c.com"),
        ("ΒΌΛΟΣ.com", "xn--nxasmq6b.com"),
        ("نامه\u{200c}ای.com", "xn--mgba3gch31f060k.com"),
        ("日本語.jp", "xn--wgv71a119e.jp"),
        ("пример.РФ", "xn--e1afmkfd.xn--p1ai"),
        ("XN--E1AFMKFD.РФ", "xn--e1afmkfd.xn--p1ai"),
        ("ПРИМЕР.xn--p1ai", "xn--e1afmkfd.xn--p1ai"),
        ("उदाहरण.परीक्षा", "xn--p1b6ci4b4b3a.xn--11b5bs3a9aj6g"),
        ("مثال.إختبار", "xn--mgbh0fb.xn--kgbechtv"),
        ("παράδειγμα.δοκιμή", "xn--hxajbheg2az3al.xn--jxalpdlp"),
        ("실례.테스트", "xn--9n2bp8q.xn--9t4b11yi5a"),
        ("பரிட்சை.com", "xn--hlcj6aya9esc7a.com"),
        ("דוגמה.com", "xn--6dbbec0c.com"),
    ] {
        let address: Address =
            format!("a@{domain}").parse().unwrap_or_else(|fault| panic!("{domain}: {fault}"));
        assert_eq!(address.domain(), stored, "{domain}");
    }
    for domain in
        ["col·legi.cat", "ハ・ロー.jp", "α͵β.com", "א׳.com", "ع٣٤.com", "ک۳۴.com", "ᎠᎡ.com", "〇一.jp"]
    {
        assert!(format!("a@{domain}").parse::<Address>().is_ok(), "{domain}");
    }
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
    fn a_domain_is_stored_as_what_was_written(
        domain in prop_oneof![
            "[\\p{L}\\p{M}\\p{N}\\p{S}\\p{P}\\p{Cf}]{1,3}[a-z]{0,2}\\.com",
            "[a-zà-ӿא-ٿऀ-෿ぁ-ヿ一-万]{1,4}\\.[a-zа-я]{2}",
        ],
    ) {
        // Cherokee has its lower case as the exception.
        prop_assume!(!domain.chars().any(|c| matches!(c, 'Ꭰ'..='\u{13ff}' | '\u{ab70}'..='\u{abbf}')));
        if let Ok(address) = format!("a@{domain}").parse::<Address>() {
            let nfc = icu_normalizer::ComposingNormalizerBorrowed::new_nfc();
            let lower: String = domain.chars().flat_map(char::to_lowercase).collect();
            let written = nfc.normalize(&lower).into_owned();
            prop_assert_eq!(idna::domain_to_unicode(address.domain()).0, written);
            prop_assert_eq!(address.as_str().parse::<Address>(), Ok(address.clone()));
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
