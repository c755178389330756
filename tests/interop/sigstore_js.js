// Attaches a bundle to an image with sigstore-js's client of registries (@sigstore/oci), as GitHub's
// `actions/attest` does: NAME DIGEST FILE.
const { readFileSync } = require('node:fs');
const { attachArtifactToImage } = require('@sigstore/oci');

const [imageName, imageDigest, file] = process.argv.slice(2);
attachArtifactToImage({
  imageName,
  imageDigest,
  artifact: readFileSync(file),
  mediaType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
  annotations: {
    'dev.sigstore.bundle.content': 'dsse-envelope',
    'dev.sigstore.bundle.predicateType': 'https://sigstore.dev/cosign/sign/v1',
  },
}).then(
  (attached) => console.log(attached.digest),
  (error) => {
    console.error(error, error.cause);
    process.exitCode = 1;
  },
);
