//! Who a node is: its key, its certificate, and the name the certificate gives it.

use rcgen::{CertificateParams, DistinguishedName, KeyPair};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use shoal_model::Timestamp;
use shoal_model::swarm::NodeRole;
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::PkiError;
use super::root::parse_bundle;

/// The subject of a node certificate.
///
/// The parts are texts, not ids of ours: a foreign manager chose them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerName {
    /// O: the cluster.
    pub cluster: String,
    /// OU: the role.
    pub role: NodeRole,
    /// CN: the node.
    pub node: String,
}

impl PeerName {
    /// The name in a verified certificate; refuses certificates that are no node's.
    pub fn from_certificate(certificate: &CertificateDer<'_>) -> Result<Self, PkiError> {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|error| PkiError::malformed("node certificate", error))?;
        Self::from_subject(parsed.subject())
    }

    fn from_subject(subject: &X509Name<'_>) -> Result<Self, PkiError> {
        let cluster = only("organization", subject.iter_organization())?;
        let unit = only("organizational unit", subject.iter_organizational_unit())?;
        let node = only("common name", subject.iter_common_name())?;
        let role = role_of(&unit).ok_or_else(|| {
            PkiError::malformed("node certificate", format!("unknown role {unit:?}"))
        })?;
        Ok(Self { cluster, role, node })
    }
}

/// The one value of an attribute; several or none make the name ambiguous.
fn only<'a>(
    what: &str,
    mut values: impl Iterator<Item = &'a x509_parser::x509::AttributeTypeAndValue<'a>>,
) -> Result<String, PkiError> {
    match (values.next().map(|value| value.as_str()), values.next()) {
        (Some(Ok(value)), None) if !value.is_empty() => Ok(value.to_owned()),
        _ => Err(PkiError::malformed("node certificate", format!("needs exactly one {what}"))),
    }
}

fn role_of(unit: &str) -> Option<NodeRole> {
    [NodeRole::Worker, NodeRole::Manager]
        .into_iter()
        .find(|role| role.organisational_unit() == unit)
}

/// A key whose certificate is still to be issued.
pub struct PendingKey {
    key: KeyPair,
    csr_pem: Vec<u8>,
}

impl PendingKey {
    /// A new P-256 key and the request for its certificate, with an empty subject: the name is
    /// the manager's to give.
    pub fn generate() -> Result<Self, PkiError> {
        let make = |source| PkiError::Make { what: "certificate request", source };
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(make)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(&key).map_err(make)?;
        let csr_pem = request.pem().map_err(make)?.replace("\r\n", "\n").into_bytes();
        Ok(Self { key, csr_pem })
    }

    /// The request, PEM.
    pub fn csr_pem(&self) -> &[u8] {
        &self.csr_pem
    }

    /// The identity, once the certificate is there. Refuses a certificate for another key.
    pub fn complete(self, certificate_pem: &[u8]) -> Result<Identity, PkiError> {
        Identity::from_pem(certificate_pem, self.key.serialize_pem().as_bytes())
    }
}

/// A node's key and certificate chain.
#[derive(Debug)]
pub struct Identity {
    name: PeerName,
    certificate_pem: Vec<u8>,
    key_pem: Vec<u8>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    not_before: Timestamp,
    not_after: Timestamp,
}

impl Identity {
    /// Reads a chain (leaf first) and its PKCS#8 key.
    pub fn from_pem(certificate_pem: &[u8], key_pem: &[u8]) -> Result<Self, PkiError> {
        let chain = parse_bundle(certificate_pem)?;
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|error| PkiError::malformed("node key", error))?;
        let (_, leaf) = X509Certificate::from_der(&chain[0])
            .map_err(|error| PkiError::malformed("node certificate", error))?;
        check_key(&leaf, key_pem)?;
        let name = PeerName::from_subject(leaf.subject())?;
        let second = |time: i64| Timestamp::from_seconds(time);
        let not_before = second(leaf.validity().not_before.timestamp());
        let not_after = second(leaf.validity().not_after.timestamp());
        Ok(Self {
            name,
            certificate_pem: certificate_pem.to_vec(),
            key_pem: key_pem.to_vec(),
            key,
            not_before,
            not_after,
            chain,
        })
    }

    /// Who this is.
    pub fn name(&self) -> &PeerName {
        &self.name
    }

    /// The chain as it is stored, PEM.
    pub fn certificate_pem(&self) -> &[u8] {
        &self.certificate_pem
    }

    /// The key as it is stored, PEM (PKCS#8).
    pub fn key_pem(&self) -> &[u8] {
        &self.key_pem
    }

    /// The chain as rustls wants it.
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.chain.clone()
    }

    /// The key as rustls wants it.
    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    /// Whether the certificate is of no use any more.
    pub fn expired(&self, now: Timestamp) -> bool {
        now >= self.not_after
    }

    /// From when to when the certificate is valid.
    pub fn validity(&self) -> (Timestamp, Timestamp) {
        (self.not_before, self.not_after)
    }
}

fn check_key(leaf: &X509Certificate<'_>, key_pem: &[u8]) -> Result<(), PkiError> {
    let text =
        std::str::from_utf8(key_pem).map_err(|error| PkiError::malformed("node key", error))?;
    let key = KeyPair::from_pem(text).map_err(|error| PkiError::malformed("node key", error))?;
    if leaf.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
        return Err(PkiError::malformed("node certificate", "it was made for another key"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::RootCa;
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn name(role: NodeRole) -> PeerName {
        PeerName { cluster: "c".repeat(25), role, node: "n".repeat(25) }
    }

    #[test]
    fn an_issued_certificate_says_what_swarmkit_says() {
        let root = RootCa::generate(NOW).unwrap();
        let pending = PendingKey::generate().unwrap();
        let pem = root.issue(pending.csr_pem(), &name(NodeRole::Manager), NOW, DAY).unwrap();
        let identity = pending.complete(&pem).unwrap();
        assert_eq!(identity.name(), &name(NodeRole::Manager));
        assert!(!identity.expired(NOW));
        assert!(identity.expired(NOW + DAY));
        let (_, leaf) = X509Certificate::from_der(&identity.chain[0]).unwrap();
        let names: Vec<String> = leaf
            .subject_alternative_name()
            .unwrap()
            .unwrap()
            .value
            .general_names
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names[0].contains("swarm-manager") && names[2].contains("swarm-ca"));
        let usage = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(usage.client_auth && usage.server_auth);
        assert!(
            leaf.basic_constraints()
                .unwrap()
                .is_some_and(|found| found.critical && !found.value.ca)
        );
    }

    #[test]
    fn a_certificate_for_another_key_is_refused() {
        let root = RootCa::generate(NOW).unwrap();
        let first = PendingKey::generate().unwrap();
        let second = PendingKey::generate().unwrap();
        let pem = root.issue(first.csr_pem(), &name(NodeRole::Worker), NOW, DAY).unwrap();
        let error = second.complete(&pem).err().unwrap().to_string();
        assert!(error.contains("another key"), "{error}");
    }

    #[test]
    fn a_request_gives_only_its_key() {
        let root = RootCa::generate(NOW).unwrap();
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let mut greedy = CertificateParams::new(vec!["swarm-manager".to_owned()]).unwrap();
        greedy.distinguished_name.push(rcgen::DnType::OrganizationalUnitName, "swarm-manager");
        let csr = greedy.serialize_request(&key).unwrap().pem().unwrap();
        let pem = root.issue(csr.as_bytes(), &name(NodeRole::Worker), NOW, DAY).unwrap();
        let certificate = parse_bundle(&pem).unwrap();
        assert_eq!(PeerName::from_certificate(&certificate[0]).unwrap().role, NodeRole::Worker);
    }

    #[test]
    fn garbage_is_no_request() {
        let root = RootCa::generate(NOW).unwrap();
        for csr in [&b""[..], b"\xff\xfe", b"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END"] {
            assert!(root.issue(csr, &name(NodeRole::Worker), NOW, DAY).is_err());
        }
    }
}
