package config

import (
	"sluice/internal/certs"
	"sluice/internal/flow"
	"sluice/internal/relay"
)

// relay looks at the files of the relay.
func (k *fileCheck) relay() {
	r := &k.c.Relay
	k.parent("relay.session_log.file", r.SessionLog.File)
	for _, l := range r.Listeners {
		path := listenersKey + "." + l.Name
		for _, s := range l.Addrs {
			if s.Addr.Network == flow.Unix && s.Addr.Path[0] != '@' {
				k.parent(path+".listen", s.Addr.Path)
			}
		}
	}
	k.relayTLS()
}

// RelayTLS says which files of the relay's TLS are of no use, as Errors: with one it cannot be started.
func (c *Config) RelayTLS() error {
	k := &fileCheck{c: c}
	k.relayTLS()
	if len(k.errs) == 0 {
		return nil
	}
	return Errors(k.errs)
}

func (k *fileCheck) relayTLS() {
	for _, l := range k.c.Relay.Listeners {
		k.fail(listenersKey+"."+l.Name+".tls.certificates", l.checkFiles())
	}
	for _, p := range k.c.Relay.Pools {
		k.fail(poolsKey+"."+p.Name+".tls.enabled", p.checkFiles())
	}
}

// checkFiles says which file of TLS is of no use.
func (l RelayListener) checkFiles() error {
	role, err := l.role()
	if err != nil || role.TLS == nil {
		return err
	}
	server := certs.Server{ClientCA: role.TLS.ClientCA}
	for _, x := range role.TLS.Certificates {
		server.Certificates = append(server.Certificates, certFiles(x))
	}
	_, err = server.Config(nil)
	return err
}

// checkFiles says which file of TLS is of no use.
func (p RelayPool) checkFiles() error {
	role, err := p.role()
	if err != nil || role.TLS == nil {
		return err
	}
	_, err = certs.Client{CA: role.TLS.CA, Certificate: certFiles(role.TLS.Certificate)}.Configs(nil)
	return err
}

func certFiles(x relay.Certificate) certs.Files {
	return certs.Files{Chain: x.Chain, Key: x.Key, Passphrase: x.Passphrase}
}

// relaySecrets are the files that hold keys and passphrases of the relay.
func (c *Config) relaySecrets() (secrets []keyFile) {
	for _, l := range c.Relay.Listeners {
		for _, x := range l.TLS.Certificates {
			secrets = append(secrets, x.secrets(listenersKey+"."+l.Name+".tls.certificates", c.file)...)
		}
	}
	for _, p := range c.Relay.Pools {
		secrets = append(secrets, p.TLS.Certificate.secrets(poolsKey+"."+p.Name+".tls.certificate", c.file)...)
	}
	return secrets
}

// secrets are the files that hold what is secret of the certificate that key names in the
// configuration file.
func (x RelayCertificate) secrets(key, file string) []keyFile {
	if x == (RelayCertificate{}) {
		return nil
	}
	list := []keyFile{{key, x.Key}}
	switch {
	case x.Key == "":
		list[0].file = x.Chain
	case x.PassphraseFile != "":
		list[0].file = x.PassphraseFile // without it the key is of no use to others
	}
	if x.Passphrase != "" {
		list = append(list, keyFile{key, file})
	}
	return list
}
