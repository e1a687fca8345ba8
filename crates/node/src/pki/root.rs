//! The cluster's root certificate and what it signs.
//!
//! The PEM bytes are kept exactly as they were made or received: the join token holds their
//! digest, so re-encoding them would shut every new node out.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use shoal_model::Timestamp;
use shoal_model::swarm::NodeRole;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use super::PkiError;

/// The name of every SwarmKit root.
const ROOT_NAME: &str = "swarm-ca";
/// The root lives 20 years, like SwarmKit's.
const ROOT_LIFETIME: Duration = Duration::from_secs(20 * 365 * 24 * 3600);
/// Certificates are valid from one hour ago, for nodes whose clock is behind.
const BACKDATE: Duration = Duration::from_secs(3600);
/// No certificate bundle is larger; guards the parser against garbage.
const MAX_PEM_BYTES: usize = 256 << 10;

/// A root certificate (or bundle), and its key on managers.
pub struct RootCa {
    pem: Vec<u8>,
    certificates: Vec<CertificateDer<'static>>,
    key: Option<KeyPair>,
}

/// How a node describes its issuer to the others (`docker info`, `docker node inspect`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerInfo {
    /// The root, PEM.
    pub trust_root: Vec<u8>,
    /// The issuer's subject, DER.
    pub subject: Vec<u8>,
    /// The issuer's public key, DER.
    pub public_key: Vec<u8>,
}

impl RootCa {
    /// A new root with its key, valid from `now`.
    pub fn generate(now: Timestamp) -> Result<Self, PkiError> {
        let make = |source| PkiError::Make { what: "root certificate", source };
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(make)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, ROOT_NAME);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_validity(&mut params, now, ROOT_LIFETIME)?;
        let pem = params.self_signed(&key).map_err(make)?.pem().replace("\r\n", "\n").into_bytes();
        Ok(Self { certificates: parse_bundle(&pem)?, pem, key: Some(key) })
    }

    /// A root received from a manager or read from disk; `key_pem` on managers.
    pub fn from_pem(pem: &[u8], key_pem: Option<&str>) -> Result<Self, PkiError> {
        let key = match key_pem {
            None => None,
            Some(text) => Some(
                KeyPair::from_pem(text)
                    .map_err(|source| PkiError::Make { what: "root key", source })?,
            ),
        };
        Ok(Self { certificates: parse_bundle(pem)?, pem: pem.to_vec(), key })
    }

    /// The exact bytes the join token's digest is made of.
    pub fn pem(&self) -> &[u8] {
        &self.pem
    }

    /// The key, PEM (PKCS#8), if this node holds it.
    pub fn key_pem(&self) -> Option<String> {
        self.key.as_ref().map(KeyPair::serialize_pem)
    }

    /// The root as rustls wants it.
    pub fn store(&self) -> Result<RootCertStore, PkiError> {
        let mut store = RootCertStore::empty();
        for certificate in &self.certificates {
            store.add(certificate.clone())?;
        }
        Ok(store)
    }

    /// How nodes describe the issuer of their certificates.
    pub fn issuer_info(&self) -> Result<IssuerInfo, PkiError> {
        let (_, parsed) = X509Certificate::from_der(&self.certificates[0])
            .map_err(|error| PkiError::malformed("root certificate", error))?;
        Ok(IssuerInfo {
            trust_root: self.pem.clone(),
            subject: parsed.subject().as_raw().to_vec(),
            public_key: parsed.public_key().raw.to_vec(),
        })
    }

    /// Signs the public key of a certificate request; everything else the request says is
    /// ignored: name and role are the manager's to give. Returns PEM.
    pub fn issue(
        &self,
        csr_pem: &[u8],
        name: &super::PeerName,
        now: Timestamp,
        lifetime: Duration,
    ) -> Result<Vec<u8>, PkiError> {
        let make = |source| PkiError::Make { what: "node certificate", source };
        let key = self.key.as_ref().ok_or(PkiError::NoKey)?;
        let request = parse_request(csr_pem)?;
        let issuer = Issuer::from_ca_cert_der(&self.certificates[0], key).map_err(make)?;
        let params = node_params(name, now, lifetime)?;
        let certificate = params.signed_by(&request.public_key, &issuer).map_err(make)?;
        Ok(certificate.pem().replace("\r\n", "\n").into_bytes())
    }
}

/// Reads a request and checks that its sender holds the key.
fn parse_request(csr_pem: &[u8]) -> Result<CertificateSigningRequestParams, PkiError> {
    let text = std::str::from_utf8(csr_pem)
        .map_err(|error| PkiError::malformed("certificate request", error))?;
    if text.len() > MAX_PEM_BYTES {
        return Err(PkiError::malformed("certificate request", "too large"));
    }
    CertificateSigningRequestParams::from_pem(text)
        .map_err(|error| PkiError::malformed("certificate request", error))
}

/// What every node certificate says.
fn node_params(
    name: &super::PeerName,
    now: Timestamp,
    lifetime: Duration,
) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, name.cluster.as_str());
    params.distinguished_name.push(DnType::OrganizationalUnitName, name.role.organisational_unit());
    params.distinguished_name.push(DnType::CommonName, name.node.as_str());
    let mut names = vec![name.role.organisational_unit(), name.node.as_str()];
    if name.role == NodeRole::Manager {
        names.push(ROOT_NAME);
    }
    for dns in names {
        let dns =
            dns.try_into().map_err(|source| PkiError::Make { what: "node certificate", source })?;
        params.subject_alt_names.push(SanType::DnsName(dns));
    }
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params, now, lifetime)?;
    Ok(params)
}

fn set_validity(
    params: &mut CertificateParams,
    now: Timestamp,
    lifetime: Duration,
) -> Result<(), PkiError> {
    let at = |time: Timestamp| {
        ASN1Time::from_timestamp(time.seconds())
            .map(|time| time.to_datetime())
            .map_err(|error| PkiError::malformed("validity", error))
    };
    params.not_before = at(now - BACKDATE)?;
    params.not_after = at(now + lifetime)?;
    Ok(())
}

/// All certificates of a bundle; at least one.
pub(super) fn parse_bundle(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, PkiError> {
    if pem.len() > MAX_PEM_BYTES {
        return Err(PkiError::malformed("certificate bundle", "too large"));
    }
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| PkiError::malformed("certificate bundle", error))?;
    if certificates.is_empty() {
        return Err(PkiError::malformed("certificate bundle", "no certificate in it"));
    }
    Ok(certificates)
}
