//! Values of events: names, and the properties that fill an event up to its size.
//!
//! Invented after the properties of client libraries. All are legal; illegal values are defects.

use super::json_text::{push, push_hex, push_number};
use super::prng::Prng;

/// A text in JSON encoding and decoded.
#[derive(Debug)]
pub(super) struct JsonWord {
    pub(super) json: &'static str,
    pub(super) plain: &'static str,
}

const fn plain(text: &'static str) -> JsonWord {
    JsonWord { json: text, plain: text }
}

/// Names of events. Some are escaped or not Latin, enough to occur in every run.
pub(super) static NAMES: [JsonWord; 24] = [
    plain("Signed up"),
    plain("Signed in"),
    plain("App opened"),
    plain("App closed"),
    plain("Page viewed"),
    plain("Search"),
    plain("Item viewed"),
    plain("Item added"),
    plain("Item removed"),
    plain("Checkout started"),
    plain("Checkout finished"),
    plain("Payment failed"),
    plain("Video started"),
    plain("Video finished"),
    plain("Message sent"),
    plain("Invite sent"),
    plain("Invite accepted"),
    plain("Plan changed"),
    plain("$screen"),
    plain("Påmelding fullført"),
    plain("購入完了"),
    JsonWord { json: "Commande pass\\u00e9e", plain: "Commande passée" },
    JsonWord { json: "Level \\\"Boss\\\" won", plain: "Level \"Boss\" won" },
    JsonWord { json: "Party \\ud83c\\udf89", plain: "Party 🎉" },
];

static PLATFORMS: [&str; 5] = ["iOS", "Android", "Windows", "Mac OS X", "Linux"];
static BROWSERS: [&str; 5] = ["Chrome", "Firefox", "Safari", "Mobile Safari", "Opera"];
static CITIES: [&str; 10] = [
    "San Francisco",
    "Zürich",
    "São Paulo",
    "東京",
    "Kraków",
    "\\u00c5rhus",
    "Nairobi",
    "Київ",
    "Mumbai",
    "القاهرة",
];
static PLANS: [&str; 4] = ["free", "starter", "growth", "enterprise"];
static REFERRERS: [&str; 4] =
    ["https:\\/\\/www.google.com\\/", "https://news.ycombinator.com/", "", "android-app://com.example.mail"];
/// Numbers that change when parsed as a float and printed again.
static NUMBERS: [&str; 8] =
    ["1.50", "19.90", "1e3", "0.30000000000000004", "9007199254740993", "-0.0", "2.5E-7", "100.000"];
/// Texts that a careless scanner takes for the end of a string, for structure, or for white space between tokens.
static NOTES: [&str; 10] = [
    "",
    "line one\\nline two",
    "tab\\there",
    "na\\u00efve \\u2603",
    "🙂 ok",
    "C:\\\\",
    "C:\\\\new  folder\\\\",
    "{ \\\"a\\\" : [ 1 , 2 ] }",
    "said \\\"a , b\\\" : ]}",
    "\\\\\\\" , \\\\u0041",
];

const KINDS: u64 = 16;

/// Appends properties, each after a comma, until `out` has at least `until_bytes` bytes.
pub(super) fn fill(prng: &mut Prng, until_bytes: usize, out: &mut Vec<u8>) {
    let first = prng.next();
    for nth in 0..KINDS {
        if out.len() >= until_bytes {
            return;
        }
        property(first.wrapping_add(nth) % KINDS, prng, out);
    }
    let missing = until_bytes.saturating_sub(out.len() + r#","padding":"""#.len());
    if missing > 0 {
        push(out, r#","padding":""#);
        out.resize(out.len() + missing, b'x');
        push(out, "\"");
    }
}

fn property(kind: u64, prng: &mut Prng, out: &mut Vec<u8>) {
    match kind {
        0 => text(out, r#","$os":"#, prng.pick(&PLATFORMS)),
        1 => text(out, r#","$browser":"#, prng.pick(&BROWSERS)),
        2 => text(out, r#","$city":"#, prng.pick(&CITIES)),
        3 => text(out, r#","plan":"#, prng.pick(&PLANS)),
        4 => text(out, r#","$referrer":"#, prng.pick(&REFERRERS)),
        5 => number(out, r#","$screen_width":"#, 320 + prng.below(3_500)),
        6 => number(out, r#","items":"#, prng.below(40)),
        7 => {
            push(out, r#","$current_url":"https://app.example.com/item/"#);
            push_number(out, prng.below(1 << 20));
            push(out, "?ref=home\"");
        }
        8 => {
            push(out, r#","session":""#);
            push_hex(out, prng.next(), 16);
            push(out, "\"");
        }
        9 => push(out, r#","mp_lib":"web","$lib_version":"2.55.1""#),
        10 => {
            push(out, r#","amount":"#);
            push(out, prng.pick(&NUMBERS));
        }
        11 => push(out, if prng.one_in(2) { r#","returning":true"# } else { r#","returning":false"# }),
        12 => text(out, r#","note":"#, prng.pick(&NOTES)),
        13 => push(out, r#","coupon":null"#),
        14 => {
            push(out, r#","tags":["new",""#);
            push(out, prng.pick(&PLANS));
            push(out, "\"]");
        }
        _ => {
            number(out, r#","device":{"memory_mb":"#, 512 << prng.below(5));
            text(out, r#","model":"#, prng.pick(&PLATFORMS));
            push(out, "}");
        }
    }
}

fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    push(out, name);
    push(out, "\"");
    push(out, value);
    push(out, "\"");
}

fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    push(out, name);
    push_number(out, value);
}
