//! A1 and A2: tokens that must not be believed, each with what is wrong with it.

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::{Pair, claims, encode, rules};
use crate::{Error, Identity, Jwks, KeySet, Verifier, now};

struct Bench {
    rsa: Pair,
    curve: Pair,
    edwards: Pair,
    other: Pair,
    verifier: Verifier,
}

impl Bench {
    fn new() -> Self {
        let (rsa, curve, edwards, other) = (Pair::rsa(), Pair::p256(), Pair::edwards(), Pair::p256());
        let jwks = json!({ "keys": [rsa.jwk("rsa"), curve.jwk("curve"), edwards.jwk("edwards")] });
        let keys = KeySet::read(jwks.to_string().as_bytes()).unwrap();
        Self { rsa, curve, edwards, other, verifier: Verifier::new(rules(), Jwks::fixed(keys)) }
    }

    async fn verify(&self, token: &str) -> Result<Identity, Error> {
        self.verifier.verify(token).await
    }

    fn good(&self) -> String {
        self.curve.token(&json!({ "alg": "ES256", "kid": "curve" }), &claims())
    }
}

#[tokio::test]
async fn a_good_token_of_each_algorithm_names_its_holder() {
    let bench = Bench::new();
    for (pair, alg, kid) in
        [(&bench.rsa, "RS256", "rsa"), (&bench.curve, "ES256", "curve"), (&bench.edwards, "EdDSA", "edwards")]
    {
        let token = pair.token(&json!({ "alg": alg, "kid": kid, "typ": "JWT" }), &claims());
        let identity = bench.verify(&token).await.unwrap_or_else(|error| panic!("{alg}: {error}"));
        assert_eq!((identity.subject.as_str(), identity.tenant.as_str()), ("user-1", "acme"));
        assert_eq!((identity.role.as_deref(), identity.apps), (Some("author"), None));
    }
}

/// Tokens with a header that is not as it should be, otherwise rightly signed by the key that they name.
fn headers(bench: &Bench) -> Vec<(String, String)> {
    let base = json!({ "alg": "ES256", "kid": "curve" });
    let with = |name: &str, value: Value| {
        let mut header = base.clone();
        header[name] = value;
        bench.curve.token(&header, &claims())
    };
    let jwk = bench.other.jwk("curve");
    let mut found = vec![
        ("a key of its own", with("jwk", jwk.clone())),
        ("an address of keys", with("jku", json!("http://127.0.0.1:1/jwks"))),
        ("an address of certificates", with("x5u", json!("http://127.0.0.1:1/cert"))),
        ("certificates of its own", with("x5c", json!(["MIIB"]))),
        ("critical members", with("crit", json!(["exp"]))),
        ("critical members, none", with("crit", json!([]))),
        ("an unencoded payload", with("b64", json!(false))),
        ("a compressed payload", with("zip", json!("DEF"))),
        ("an encrypted payload", with("enc", json!("A128GCM"))),
        ("a nested token", with("cty", json!("JWT"))),
        ("another type", with("typ", json!("dpop+jwt"))),
        ("a type that is no text", with("typ", json!(1))),
        ("a kid that climbs", with("kid", json!("../../../../dev/null"))),
        ("a kid that is SQL", with("kid", json!("curve' OR '1'='1"))),
        ("a kid with a zero byte", with("kid", json!("curve\u{0}"))),
        ("a kid of a megabyte", with("kid", json!("k".repeat(1 << 20)))),
        ("a kid that is no text", with("kid", json!(7))),
        ("an empty kid", with("kid", json!(""))),
        ("no kid", bench.curve.token(&json!({ "alg": "ES256" }), &claims())),
        ("another's kid", bench.other.token(&base, &claims())),
        ("a key of another kind", bench.curve.token(&json!({ "alg": "ES256", "kid": "rsa" }), &claims())),
        ("no algorithm", bench.curve.token(&json!({ "kid": "curve" }), &claims())),
        ("a list of algorithms", with("alg", json!(["ES256"]))),
        (
            "two algorithms",
            bench.curve.token_of(r#"{"alg":"none","alg":"ES256","kid":"curve"}"#, &claims().to_string()),
        ),
        ("two kids", bench.curve.token_of(r#"{"alg":"ES256","kid":"rsa","kid":"curve"}"#, &claims().to_string())),
        (
            "a header with a byte order mark",
            bench.curve.token_of("\u{feff}{\"alg\":\"ES256\",\"kid\":\"curve\"}", &claims().to_string()),
        ),
        ("a header that is a list", bench.curve.token_of(r#"["ES256"]"#, &claims().to_string())),
        (
            "a header with something behind it",
            bench.curve.token_of(r#"{"alg":"ES256","kid":"curve"}x"#, &claims().to_string()),
        ),
    ]
    .into_iter()
    .map(|(what, token)| (what.to_owned(), token))
    .collect::<Vec<_>>();
    for alg in [
        "none", "NoNe", "NONE", "HS256", "HS384", "HS512", "RS384", "RS512", "PS256", "ES384", "ES256K", "ES512",
        "es256", "Ed448", " ES256", "",
    ] {
        found.push((format!("the algorithm `{alg}`"), with("alg", json!(alg))));
    }
    found
}

/// Tokens whose signature or form is wrong.
fn forms(bench: &Bench) -> Vec<(String, String)> {
    let good = bench.good();
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>()[..] else { panic!("{good}") };
    let none = encode(r#"{"alg":"none","kid":"curve"}"#);
    let hmac = |key: &[u8], kid: &str| {
        let header = jsonwebtoken::Header { kid: Some(kid.into()), ..jsonwebtoken::Header::new(Algorithm::HS256) };
        jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(key)).unwrap()
    };
    let rs256 = format!("{}.{payload}", encode(r#"{"alg":"RS256","kid":"rsa"}"#));
    let ps256 = format!("{}.{payload}", encode(r#"{"alg":"PS256","kid":"rsa"}"#));
    let es256 = format!("{header}.{payload}");
    // The order of P-256, which as `r` or `s` is as good as zero.
    let order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
    let order: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&order[2 * at..2 * at + 2], 16).unwrap()).collect();
    let last = signature.chars().last().unwrap();
    let spare = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let near = spare.as_bytes()[(spare.find(last).unwrap() & !15) | ((spare.find(last).unwrap() + 1) & 15)] as char;
    let stolen = encode(claims().to_string().replace("acme", "evil"));
    [
        ("nothing", String::new()),
        ("dots alone", "..".into()),
        ("one part", header.into()),
        ("two parts", format!("{header}.{payload}")),
        ("two parts and a dot", format!("{header}.{payload}.")),
        ("four parts", format!("{good}.")),
        ("five parts, as an encrypted one has", format!("{good}.AAAA.AAAA")),
        ("no header", format!(".{payload}.{signature}")),
        ("no claims", format!("{header}..{signature}")),
        ("none, without a signature", format!("{none}.{payload}.")),
        ("none, with a signature", format!("{none}.{payload}.{signature}")),
        ("padding", format!("{good}=")),
        ("the other alphabet", format!("{header}.{payload}.{}", signature.replace(['-', '_'], "+")) + "+"),
        ("spare bits in the last letter", format!("{header}.{payload}.{}{near}", &signature[..signature.len() - 1])),
        ("a line's end", format!("{good}\n")),
        ("a space before", format!(" {good}")),
        ("claims of another", format!("{header}.{stolen}.{signature}")),
        ("a signature of zeros", format!("{es256}.{}", encode([0; 64]))),
        ("r and s at the order", format!("{es256}.{}", encode([order.clone(), order].concat()))),
        ("a signature in DER", format!("{es256}.{}", encode([0x30, 6, 2, 1, 1, 2, 1, 1]))),
        ("half a signature", format!("{header}.{payload}.{}", &signature[..40])),
        ("HMAC by the public RSA key", hmac(&bench.rsa.der(), "rsa")),
        ("HMAC by the public point", hmac(&bench.curve.der(), "curve")),
        ("HMAC by nothing", hmac(b"", "curve")),
        ("PSS as RS256", format!("{rs256}.{}", encode(bench.rsa.pss(&rs256)))),
        ("PKCS 1 as PS256", format!("{ps256}.{}", encode(bench.rsa.signature(&ps256)))),
        ("PSS as PS256", format!("{ps256}.{}", encode(bench.rsa.pss(&ps256)))),
        ("an RSA signature of zeros", format!("{rs256}.{}", encode([0; 256]))),
        ("another curve", Pair::p384().token(&json!({ "alg": "ES256", "kid": "curve" }), &claims())),
        (
            "claims with a key twice",
            bench.curve.token_of(r#"{"alg":"ES256","kid":"curve"}"#, r#"{"sub":"a","sub":"b"}"#),
        ),
        ("claims that are no object", bench.curve.token_of(r#"{"alg":"ES256","kid":"curve"}"#, "7")),
        (
            "claims that are too deep",
            bench.curve.token_of(
                r#"{"alg":"ES256","kid":"curve"}"#,
                &format!("{{\"a\":{}1{}}}", "[".repeat(99), "]".repeat(99)),
            ),
        ),
        (
            "a token of 100 KiB",
            bench.curve.token(&json!({ "alg": "ES256", "kid": "curve" }), &json!({ "pad": "x".repeat(100 << 10) })),
        ),
    ]
    .into_iter()
    .map(|(what, token)| (what.to_owned(), token))
    .collect()
}

#[tokio::test]
async fn a1_no_hostile_token_is_believed() {
    let bench = Bench::new();
    assert!(bench.verify(&bench.good()).await.is_ok(), "the bench itself must work");
    let hostile: Vec<_> = headers(&bench).into_iter().chain(forms(&bench)).collect();
    assert!(hostile.len() >= 70, "{}", hostile.len());
    for (what, token) in hostile {
        let outcome = bench.verify(&token).await;
        assert!(matches!(outcome, Err(Error::Refused(_))), "{what}: {outcome:?}");
    }
}

#[tokio::test]
async fn a2_claims_are_read_strictly() {
    let bench = Bench::new();
    let late = |sec: u64| json!(now() + sec);
    let wrong: Vec<(&str, Value)> = vec![
        ("exp", Value::Null),
        ("exp", json!(1.5e9)),
        ("exp", json!((now() + 600).to_string())),
        ("exp", json!(-1)),
        ("exp", json!(0)),
        ("exp", json!(1e300)),
        ("exp", json!((now() + 600) * 1000)),
        ("exp", json!(now() - 31)),
        ("exp", json!(true)),
        ("nbf", late(35)),
        ("nbf", json!("soon")),
        ("nbf", Value::Null),
        ("iat", late(35)),
        ("iss", json!("https://id.example/")),
        ("iss", json!("https://evil.example")),
        ("iss", json!(["https://id.example"])),
        ("iss", Value::Null),
        ("aud", json!("other")),
        ("aud", json!([])),
        ("aud", json!(["other", 7, "authenticated"])),
        ("aud", Value::Null),
        ("aud", json!({ "authenticated": true })),
        ("sub", json!("")),
        ("sub", Value::Null),
        ("sub", json!(7)),
        ("app_metadata", json!({})),
        ("app_metadata", json!("acme")),
        ("app_metadata", json!({ "tenant_id": "" })),
        ("app_metadata", json!({ "tenant_id": "Acme" })),
        ("app_metadata", json!({ "tenant_id": "../acme" })),
        ("app_metadata", json!({ "tenant_id": "acme\n" })),
        ("app_metadata", json!({ "tenant_id": ["acme"] })),
        ("app_metadata", json!({ "tenant_id": "acme", "apps": "sitefit" })),
        ("app_metadata", json!({ "tenant_id": "acme", "apps": [1] })),
    ];
    for (name, value) in wrong {
        let mut claims = claims();
        claims[name] = value.clone();
        let token = bench.curve.token(&json!({ "alg": "ES256", "kid": "curve" }), &claims);
        let outcome = bench.verify(&token).await;
        assert!(matches!(outcome, Err(Error::Refused(_))), "{name} = {value}: {outcome:?}");
    }
    for name in ["exp", "iss", "aud", "sub", "app_metadata"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        let token = bench.curve.token(&json!({ "alg": "ES256", "kid": "curve" }), &claims);
        assert!(matches!(bench.verify(&token).await, Err(Error::Refused(_))), "without {name}");
    }
}

#[tokio::test]
async fn a2_what_lies_within_the_leeway_is_taken() {
    let bench = Bench::new();
    let right: Vec<(&str, Value)> = vec![
        ("exp", json!(now() - 20)),
        ("nbf", json!(now() + 20)),
        ("aud", json!(["other", "authenticated"])),
        ("app_metadata", json!({ "tenant_id": "acme", "apps": ["sitefit"] })),
        ("user_metadata", json!({ "tenant_id": "other" })),
    ];
    for (name, value) in right {
        let mut claims = claims();
        claims[name] = value.clone();
        let token = bench.curve.token(&json!({ "alg": "ES256", "kid": "curve" }), &claims);
        let identity = bench.verify(&token).await.unwrap_or_else(|error| panic!("{name} = {value}: {error}"));
        assert_eq!(identity.tenant, "acme");
    }
}

#[tokio::test]
async fn a2_a_kid_that_two_issuers_share_opens_only_its_own_door() {
    let (one, two) = (Bench::new(), Bench::new());
    assert!(one.verify(&one.good()).await.is_ok());
    assert!(matches!(one.verify(&two.good()).await, Err(Error::Refused(_))));
}
