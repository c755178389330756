package signing

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// sandbox is a whole Sigstore that lives as long as a test.
type sandbox struct {
	Directory string `json:"directory"`
	Fulcio    string `json:"fulcio"`
	Oidc      string `json:"oidc"`
	Page      string `json:"page"`
	RekorV1   string `json:"rekor_v1"`
	Tsa       string `json:"tsa"`
}

func startSandbox(t *testing.T) sandbox {
	t.Helper()
	program := os.Getenv("SIGSTORE_SANDBOX")
	if program == "" {
		program = "sigstore-sandbox"
	}
	state := t.TempDir()
	ready := filepath.Join(state, "ready.json")
	command := exec.Command(program, "--port", "0", "--state", state, "--ready-file", ready)
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt)
		_ = command.Wait()
	})
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		if content, err := os.ReadFile(ready); err == nil {
			var started sandbox
			if err := json.Unmarshal(content, &started); err != nil {
				t.Fatal(err)
			}
			return started
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the sandbox is not ready after 30 s")
	return sandbox{}
}

// token is an identity token of one of the sandbox's issuers.
func (s sandbox) token(t *testing.T, issuer string) string {
	t.Helper()
	answer, err := http.Get(s.Oidc + "/" + issuer + "/token")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status, err)
	}
	return string(text)
}

// fault switches a fault on until the test ends.
func (s sandbox) fault(t *testing.T, name string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPut, s.Page+"sandbox/faults/"+name, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer, err)
	}
	_ = answer.Body.Close()
}
