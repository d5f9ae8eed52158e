package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/sasl"
	"github.com/segmentio/kafka-go/sasl/plain"
	"github.com/segmentio/kafka-go/sasl/scram"
)

// The mechanisms that a client can prove itself with.
const (
	MechanismPlain       = "PLAIN" // sends the password as it is: only over TLS
	MechanismSCRAMSHA256 = "SCRAM-SHA-256"
	MechanismSCRAMSHA512 = "SCRAM-SHA-512"
)

// SASL is how a client proves who it is; the zero value is not at all.
type SASL struct {
	Mechanism string
	Username  string
	Password  string
}

// security is a Config's TLS and SASL as the library wants them, once for the Transport and once for a group's Dialer.
type security struct {
	tls  *tls.Config
	sasl sasl.Mechanism
}

func newSecurity(cfg Config) (s security, err error) {
	if s.sasl, err = cfg.SASL.mechanism(); err != nil {
		return s, err
	}
	if !cfg.TLS {
		if cfg.TLSCA != "" {
			return s, errors.New("a certificate authority is named (kafka.tls_ca), but TLS is off (kafka.tls)")
		}
		return s, nil
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12} // the library adds the name of each broker
	if cfg.TLSCA == "" {
		return s, nil // the system's authorities
	}
	pem, err := os.ReadFile(cfg.TLSCA)
	if err != nil {
		return s, fmt.Errorf("read certificate authority (kafka.tls_ca): %w", err)
	}
	s.tls.RootCAs = x509.NewCertPool()
	if !s.tls.RootCAs.AppendCertsFromPEM(pem) {
		return s, fmt.Errorf("no PEM certificate in %s (kafka.tls_ca)", cfg.TLSCA)
	}
	return s, nil
}

func (s SASL) mechanism() (m sasl.Mechanism, err error) {
	if s.Mechanism == "" {
		if s.Username != "" || s.Password != "" {
			return nil, errors.New("a user is given, but no SASL mechanism (kafka.sasl.mechanism)")
		}
		return nil, nil //nolint:nilnil // none is wanted, which is what the library calls nil
	}
	if s.Username == "" {
		return nil, fmt.Errorf("SASL mechanism %s needs a user (kafka.sasl.username)", s.Mechanism)
	}
	switch s.Mechanism {
	case MechanismPlain:
		return plain.Mechanism{Username: s.Username, Password: s.Password}, nil
	case MechanismSCRAMSHA256:
		m, err = scram.Mechanism(scram.SHA256, s.Username, s.Password)
	case MechanismSCRAMSHA512:
		m, err = scram.Mechanism(scram.SHA512, s.Username, s.Password)
	default:
		return nil, fmt.Errorf("unknown SASL mechanism %q (kafka.sasl.mechanism): use %s, %s or %s",
			s.Mechanism, MechanismPlain, MechanismSCRAMSHA256, MechanismSCRAMSHA512)
	}
	if err != nil {
		return nil, fmt.Errorf("prepare the password of user %s (kafka.sasl.password): %w", s.Username, err)
	}
	return m, nil
}

// dialer is how the library's group membership connects.
func (c *Client) dialer() *kafkago.Dialer {
	return &kafkago.Dialer{ClientID: c.cfg.ClientID, Timeout: dialTimeout, DualStack: true, TLS: c.security.tls, SASLMechanism: c.security.sasl}
}

// explain says which setting is behind an error of the connection, where one is.
func (c *Client) explain(err error) error {
	var authority x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.Is(err, kafkago.SASLAuthenticationFailed):
		return fmt.Errorf("the brokers refuse user %q or its password (kafka.sasl.username, kafka.sasl.password): %w", c.cfg.SASL.Username, err)
	case errors.Is(err, kafkago.UnsupportedSASLMechanism):
		return fmt.Errorf("the brokers do not offer %s (kafka.sasl.mechanism): %w", c.cfg.SASL.Mechanism, err)
	case errors.As(err, &authority):
		return fmt.Errorf("the brokers' certificate is signed by none of the trusted authorities (kafka.tls_ca): %w", err)
	case errors.As(err, &name):
		return fmt.Errorf("the brokers' certificate is for other names than kafka.brokers: %w", err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("the brokers close the connection, as they do when kafka.tls is wrong or they want a user (kafka.sasl): %w", err)
	}
	return err
}
