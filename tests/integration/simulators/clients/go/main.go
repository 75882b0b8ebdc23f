// Other people's clients in Go, each a subcommand that takes what it needs as JSON and prints what became of it.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	webpush "github.com/SherClockHolmes/webpush-go"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	tele "gopkg.in/telebot.v4"
)

type given struct {
	URL           string
	Token         string
	Secret        string
	Subject       string
	PublicKey     string `json:"public_key"`
	PrivateKey    string `json:"private_key"`
	Subscriptions []webpush.Subscription
}

func main() {
	var needed given
	must(json.Unmarshal([]byte(os.Args[2]), &needed))
	run := map[string]func(given) any{"webpush": pushes, "telegram": chats, "webhook": webhooks}[os.Args[1]]
	must(json.NewEncoder(os.Stdout).Encode(run(needed)))
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func pushes(needed given) any {
	var statuses []int
	for _, subscription := range needed.Subscriptions {
		answer, err := webpush.SendNotification([]byte("Sale"), &subscription, &webpush.Options{
			Subscriber:      needed.Subject,
			VAPIDPublicKey:  needed.PublicKey,
			VAPIDPrivateKey: needed.PrivateKey,
			Topic:           "abcd",
			TTL:             60,
			Urgency:         webpush.UrgencyHigh,
		})
		must(err)
		must(answer.Body.Close())
		statuses = append(statuses, answer.StatusCode)
	}
	return map[string]any{"statuses": statuses}
}

func chats(needed given) any {
	bot, err := tele.NewBot(tele.Settings{URL: needed.URL, Token: needed.Token})
	must(err)
	chat := &tele.Chat{ID: 42}
	inline := &tele.ReplyMarkup{}
	inline.Inline(inline.Row(inline.URL("Go", "https://example.com"), inline.Query("Share", "")))
	first, err := bot.Send(chat, "*Sale* ends _tonight_! (1.5)", tele.ModeMarkdown, inline)
	must(err)
	below := &tele.ReplyMarkup{ResizeKeyboard: true}
	below.Reply(below.Row(below.Text("yes"), below.Text("no")))
	second, err := bot.Send(chat, "Will you come?", below)
	must(err)
	photo, err := bot.Send(chat, &tele.Photo{File: tele.FromReader(bytes.NewReader([]byte("not really"))), Caption: "Sale"})
	must(err)
	edited, err := bot.Edit(first, "Over")
	must(err)
	must(bot.Delete(second))
	return map[string]any{"me": bot.Me.Username, "text": first.Text, "caption": photo.Caption, "edited": edited.Text}
}

func webhooks(needed given) any {
	signer, err := standardwebhooks.NewWebhook(needed.Secret)
	must(err)
	body := []byte(`{"type": "message", "timestamp": "2026-11-30T00:00:00Z", "data": {"address": "a", "recipient": "b"}}`)
	now := time.Now()
	signature, err := signer.Sign("msg_1", now, body)
	must(err)
	request, err := http.NewRequest(http.MethodPost, needed.URL, bytes.NewReader(body))
	must(err)
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Webhook-Id", "msg_1")
	request.Header.Set("Webhook-Timestamp", fmt.Sprint(now.Unix()))
	request.Header.Set("Webhook-Signature", signature)
	answer, err := http.DefaultClient.Do(request)
	must(err)
	said, err := io.ReadAll(answer.Body)
	must(err)
	return map[string]any{"status": answer.StatusCode, "said": string(said)}
}
