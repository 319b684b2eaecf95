//! Signatures against the known answers of the vendor's own clients and documents.

use serde_json::Value;
use triggerbell::adapters::source::signature::{
    SignatureMethod, Tc3Request, encode_parameters, tc3_authorization, tc3_canonical_request,
    tc3_signature, tc3_string_to_sign, v2_sign, v2_string_to_sign,
};

fn vectors(api: &str) -> Vec<Value> {
    let file: Value =
        serde_json::from_str(include_str!("../../vectors/signing_vectors.json")).unwrap();
    let all = file["vectors"].as_array().unwrap();
    all.iter().filter(|vector| vector["api"] == api).cloned().collect()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("{key} in {}", vector["name"]))
}

/// The parameters in the order in which the vendor's client sent them.
fn parameters(vector: &Value) -> Vec<(String, String)> {
    let params = vector["params"].as_object().unwrap();
    params
        .iter()
        .map(|(key, value)| {
            (key.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect()
}

#[test]
fn every_known_answer_of_api_2_is_given() {
    let vectors = vectors("v2");
    assert_eq!(vectors.len(), 6);
    for vector in &vectors {
        let name = text(vector, "name");
        let params = parameters(vector);
        let named = params.iter().find(|(key, _)| key == "SignatureMethod");
        let method = SignatureMethod::of_parameter(named.map(|(_, value)| value.as_str()));
        assert_eq!(method.name(), text(vector, "signature_method"), "{name}");
        let to_sign = v2_string_to_sign(
            text(vector, "method"),
            text(vector, "host"),
            text(vector, "path"),
            &params,
        );
        assert_eq!(to_sign, text(vector, "string_to_sign"), "{name}");
        let signature = v2_sign(text(vector, "secret_key"), &to_sign, method);
        assert_eq!(signature, text(vector, "signature"), "{name}");

        let mut sent = params;
        sent.push(("Signature".to_owned(), signature));
        // The vendor's client writes a space as `+`; every other `+` in it is `%2B`. The contract
        // asks for RFC 3986, which the service decodes to the same.
        let expected = text(vector, "encoded_request_data").replace('+', "%20");
        assert_eq!(encode_parameters(&sent), expected, "{name}");

        // A verifier has the signature among the parameters, in whatever order.
        sent.reverse();
        let again = v2_string_to_sign(
            text(vector, "method"),
            text(vector, "host"),
            text(vector, "path"),
            &sent,
        );
        assert_eq!(again, to_sign, "{name}");
    }
}

#[test]
fn every_known_answer_of_api_3_is_given() {
    let vectors = vectors("v3");
    assert_eq!(vectors.len(), 3);
    for vector in &vectors {
        let name = text(vector, "name");
        let request = Tc3Request {
            method: text(vector, "method"),
            host: text(vector, "host"),
            query: text(vector, "query"),
            content_type: vector["headers"]["Content-Type"].as_str().unwrap(),
            body: text(vector, "body").as_bytes(),
            service: text(vector, "service"),
            timestamp: vector["timestamp"].as_i64().unwrap(),
        };
        let key = text(vector, "secret_key");
        assert_eq!(tc3_canonical_request(&request), text(vector, "canonical_request"), "{name}");
        assert_eq!(tc3_string_to_sign(&request), text(vector, "string_to_sign"), "{name}");
        assert_eq!(tc3_signature(key, &request), text(vector, "signature"), "{name}");
        if let Some(expected) = vector["authorization"].as_str() {
            let header = tc3_authorization(text(vector, "secret_id"), key, &request);
            assert_eq!(header, expected, "{name}");
        }
    }
}

#[test]
fn underscores_in_keys_are_dots_for_signing_only() {
    let params = [("image_id", "a_b"), ("Zone", ""), ("Action", "X")];
    let signed = v2_string_to_sign("GET", "h:81", "/p", &params);
    assert_eq!(signed, "GETh:81/p?Action=X&Zone=&image.id=a_b");
    assert_eq!(encode_parameters(&params), "image_id=a_b&Zone=&Action=X");
}
