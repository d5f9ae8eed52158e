package kafkatest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/kafka"
)

// User and Password are what the brokers of RealSecure let in.
const (
	User     = "millrace"
	Password = "a secret with spaces"
)

// RealSecure starts a single Apache Kafka that outsiders reach by TLS and SASL only, with every mechanism on, and
// returns the configuration of a client without its mechanism. It skips or fails like Real.
func RealSecure(tb testing.TB) kafka.Config {
	tb.Helper()
	n := newNode(tb)
	ca, certificate := Certificate(tb)
	chain := append(pemOf(tb, certificate), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})...)
	if err := os.WriteFile(n.path("broker.pem"), chain, 0o600); err != nil {
		tb.Fatal(err)
	}
	secure := freeAddr(tb)
	c := &Cluster{tb: tb, nodes: []*node{n}}
	properties := c.properties(0) + secureProperties(n, secure)
	scram := func(mechanism string) []string {
		return []string{"--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, User, Password)}
	}
	if err := n.format(properties, append(scram(kafka.MechanismSCRAMSHA256), scram(kafka.MechanismSCRAMSHA512)...)...); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(n.cleanUp)
	n.start()
	awaitReady(tb, Dial(tb, c.Addrs()))
	return kafka.Config{Brokers: []string{secure}, ClientID: "kafkatest", TLS: true, TLSCA: ca, SASL: kafka.SASL{Username: User, Password: Password}}
}

// secureProperties adds a listener for outsiders; later lines of a properties file win.
func secureProperties(n *node, secure string) string {
	return fmt.Sprintf(`listeners=PLAINTEXT://%[1]s,CONTROLLER://%[2]s,OUTSIDE://%[3]s
advertised.listeners=PLAINTEXT://%[1]s,OUTSIDE://%[3]s
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,OUTSIDE:SASL_SSL
listener.name.outside.ssl.keystore.type=PEM
listener.name.outside.ssl.keystore.location=%[4]s
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.outside.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_%[5]s="%[6]s";
listener.name.outside.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.outside.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
`, n.addr, n.controller, secure, n.path("broker.pem"), User, Password)
}

// Certificate makes a certificate of 127.0.0.1 that vouches for itself, and the file that names it as an authority.
func Certificate(tb testing.TB) (caFile string, certificate tls.Certificate) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kafkatest"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	caFile = filepath.Join(tb.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
	return caFile, tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// pemOf is the private key of a certificate as Kafka reads it.
func pemOf(tb testing.TB, c tls.Certificate) []byte {
	tb.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
