// Measures gorush through its own package: PushToIOS with a thousand tokens a call, as its HTTP API does for a request.
//
// gorush has no setting for APNs' address, so the transport of its client dials the simulator whatever the host is.
// Keeps to the protocol of ../measure.py, with one call at a time; --concurrency is its ios.max_concurrent_pushes.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/appleboy/gorush/config"
	"github.com/appleboy/gorush/core"
	"github.com/appleboy/gorush/logx"
	"github.com/appleboy/gorush/notify"
	"github.com/appleboy/gorush/status"
	"golang.org/x/net/http2"
)

const (
	title   = "Stentor"
	text    = "The herald whose voice carried like fifty men's has something to tell all of you"
	topic   = "org.example.app"
	devices = 10_000
	batch   = 1_000
	warmUp  = 0.5
)

// What the simulator says of itself.
type facts struct {
	Port    int    `json:"port"`
	CAFile  string `json:"ca_file"`
	KeyFile string `json:"key_file"`
	KeyID   string `json:"key_id"`
	TeamID  string `json:"team_id"`
}

type report struct {
	Accepted   int64   `json:"accepted"`
	Failed     int64   `json:"failed"`
	Warmed     int64   `json:"warmed"`
	Seconds    float64 `json:"seconds"`
	StartupCPU float64 `json:"startup_cpu"`
	Error      *string `json:"error"`
}

func main() {
	simulator := flag.String("simulator", "", "JSON: what the simulator said of itself")
	concurrency := flag.Int("concurrency", 100, "ios.max_concurrent_pushes")
	seconds := flag.Float64("seconds", 1, "how long")
	flag.Parse()
	var where facts
	must(json.Unmarshal([]byte(*simulator), &where))

	cfg := configure(where, *concurrency)
	tokens := make([]string, devices)
	for i := range tokens {
		tokens[i] = fmt.Sprintf("%064x", i)
	}
	push(cfg, tokens[:1]) // alone: APNs allows one stream until it has seen who we are
	drive(cfg, tokens, min(warmUp, *seconds))
	warmed, failedBefore := status.StatStorage.GetIosSuccess(), status.StatStorage.GetIosError()
	startup := cpu()
	started := time.Now()
	problem := drive(cfg, tokens, *seconds)
	must(json.NewEncoder(os.Stdout).Encode(report{
		Seconds:    time.Since(started).Seconds(),
		Accepted:   status.StatStorage.GetIosSuccess() - warmed,
		Failed:     status.StatStorage.GetIosError() - failedBefore,
		Warmed:     warmed,
		StartupCPU: startup,
		Error:      problem,
	}))
}

func configure(where facts, concurrency int) *config.ConfYaml {
	cfg, err := config.LoadConf()
	must(err)
	cfg.Ios.Enabled = true
	cfg.Ios.Production = true
	cfg.Ios.KeyPath = where.KeyFile
	cfg.Ios.KeyID = where.KeyID
	cfg.Ios.TeamID = where.TeamID
	cfg.Ios.MaxConcurrentPushes = uint(concurrency)
	must(logx.InitLog("fatal", os.DevNull, "fatal", os.DevNull))
	must(status.InitAppStatus(cfg))
	must(notify.InitAPNSClient(cfg))
	pem, err := os.ReadFile(where.CAFile)
	must(err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	address := fmt.Sprintf("localhost:%d", where.Port)
	transport := notify.ApnsClient.HTTPClient.Transport.(*http2.Transport)
	transport.DialTLS = func(_, _ string, asked *tls.Config) (net.Conn, error) {
		return tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: asked.NextProtos})
	}
	return cfg
}

// Push for so long, a batch after the other; returns the first failure.
func drive(cfg *config.ConfYaml, tokens []string, seconds float64) *string {
	deadline := time.Now().Add(time.Duration(seconds * float64(time.Second)))
	var problem *string
	for start := 0; time.Now().Before(deadline); start = (start + batch) % devices {
		if found := push(cfg, tokens[start:start+batch]); problem == nil {
			problem = found
		}
	}
	return problem
}

func push(cfg *config.ConfYaml, tokens []string) *string {
	response, err := notify.PushToIOS(&notify.PushNotification{
		Tokens:   tokens,
		Platform: core.PlatFormIos,
		Topic:    topic,
		Alert:    notify.Alert{Title: title, Body: text},
		Sound:    "default",
		Priority: "high",
		PushType: "alert",
	}, cfg)
	if err != nil {
		why := err.Error()
		return &why
	}
	if len(response.Logs) > 0 {
		return &response.Logs[0].Error
	}
	return nil
}

func cpu() float64 {
	var used syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
