// Other people's clients, for the tests of the simulators.
module clients

go 1.22

require (
	github.com/SherClockHolmes/webpush-go v1.4.0
	github.com/standard-webhooks/standard-webhooks/libraries v0.0.1
	gopkg.in/telebot.v4 v4.0.0-beta.10
)

require (
	github.com/golang-jwt/jwt/v5 v5.2.1 // indirect
	golang.org/x/crypto v0.31.0 // indirect
)
