package signing

import (
	"bytes"
	"path/filepath"
	"testing"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

func signWith(t *testing.T, s sandbox, content []byte) (*protobundle.Bundle, error) {
	t.Helper()
	keypair, err := sign.NewEphemeralKeypair(nil)
	if err != nil {
		t.Fatal(err)
	}
	return sign.Bundle(&sign.PlainData{Data: content}, keypair, sign.BundleOptions{
		CertificateProvider: sign.NewFulcio(&sign.FulcioOptions{BaseURL: s.Fulcio}),
		CertificateProviderOptions: &sign.CertificateProviderOptions{
			IDToken: s.token(t, "gitlab"),
		},
		TimestampAuthorities: []*sign.TimestampAuthority{
			sign.NewTimestampAuthority(&sign.TimestampAuthorityOptions{
				URL: s.Tsa + "/api/v1/timestamp",
			}),
		},
		TransparencyLogs: []sign.Transparency{
			sign.NewRekor(&sign.RekorOptions{BaseURL: s.RekorV1}),
		},
	})
}

func verifyWith(t *testing.T, s sandbox, signed *protobundle.Bundle, content []byte, who string) error {
	t.Helper()
	trusted, err := root.NewTrustedRootFromPath(filepath.Join(s.Directory, "trusted_root.json"))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := verify.NewVerifier(trusted,
		verify.WithSignedCertificateTimestamps(1),
		verify.WithTransparencyLog(1),
		verify.WithObserverTimestamps(1))
	if err != nil {
		t.Fatal(err)
	}
	identity, err := verify.NewShortCertificateIdentity(s.Oidc+"/gitlab", "", who, "")
	if err != nil {
		t.Fatal(err)
	}
	entity, err := bundle.NewBundle(signed)
	if err != nil {
		t.Fatal(err)
	}
	policy := verify.NewPolicy(
		verify.WithArtifact(bytes.NewReader(content)), verify.WithCertificateIdentity(identity))
	_, err = verifier.Verify(entity, policy)
	return err
}

const pipeline = "https://gitlab.com/acme/app//.gitlab-ci.yml@refs/heads/main"

func TestAReleaseIsSignedAndVerified(t *testing.T) {
	s := startSandbox(t)
	content := []byte("the release")
	signed, err := signWith(t, s, content)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifyWith(t, s, signed, content, pipeline); err != nil {
		t.Fatal(err)
	}
	if verifyWith(t, s, signed, []byte("another"), pipeline) == nil {
		t.Error("the signature of another file was accepted")
	}
	if verifyWith(t, s, signed, content, "https://gitlab.com/mallory/app") == nil {
		t.Error("another signer was accepted")
	}
}

func TestACertificateOfAnotherPipelineIsNoticed(t *testing.T) {
	s := startSandbox(t)
	s.fault(t, "certificate-for-another")
	content := []byte("the release")
	signed, err := signWith(t, s, content)
	if err == nil && verifyWith(t, s, signed, content, pipeline) == nil {
		t.Error("a certificate for another pipeline was accepted")
	}
}

func TestALogThatFailsIsAnError(t *testing.T) {
	s := startSandbox(t)
	s.fault(t, "rekor-error")
	if _, err := signWith(t, s, []byte("the release")); err == nil {
		t.Error("signed without the log")
	}
}
