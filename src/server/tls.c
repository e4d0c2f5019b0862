/* TLS: the certificate at the start, and again with SIGHUP. */
#include "net/tls.h"

#include "server/server_private.h"

/* A private key that everybody can read is none. */
static int check_key_file(struct pd_server *server, const char *path, struct pd_error *err)
{
	struct pd_os_file_info info;
	int result = pd_os_info(server->os, path, &info, err);

	if (result == 0 && (info.mode & 07) != 0)
		return pd_error_set(
			err, PD_PERMISSION,
			"everybody on this machine can read or change the TLS key %s (mode %03o): chmod "
			"o-rwx it, and think of making another",
			path, info.mode & 0777);
	return result;
}

static int load(struct pd_server *server, struct pd_tls **ret_tls, struct pd_error *err)
{
	const struct pd_config *config = server->config;
	const char *clients = pd_config_text(config, PD_SETTING_TLS_AUTH_CLIENTS);
	struct pd_tls_options options = {
		.certificate_file = pd_config_text(config, PD_SETTING_TLS_CERT_FILE),
		.key_file = pd_config_text(config, PD_SETTING_TLS_KEY_FILE),
		.key_password = pd_config_text(config, PD_SETTING_TLS_KEY_PASSWORD),
		.ca_file = pd_config_text(config, PD_SETTING_TLS_CA_FILE),
		.clients = strcmp(clients, "yes") == 0        ? PD_TLS_CLIENTS_YES
			   : strcmp(clients, "optional") == 0 ? PD_TLS_CLIENTS_OPTIONAL
							      : PD_TLS_CLIENTS_NO,
	};
	char warning[PD_TLS_WARNING_SIZE];
	int result = check_key_file(server, options.key_file, err);

	if (result == 0)
		result = pd_tls_new(&options, ret_tls, warning, err);
	if (result == 0 && warning[0] != '\0')
		pd_message(&server->messages, PD_MESSAGE_WARNING, "tls", "%s", warning);
	return result;
}

int pd_server_listen_tls(struct pd_server *server, struct pd_net_listener_options *listener,
			 struct pd_error *err)
{
	int result;

	if (listener->port == 0)
		return 0;
	listener->handshake_ms = (unsigned)pd_config_number(server->config, PD_SETTING_TLS_HANDSHAKE_TIMEOUT);
	result = load(server, &listener->tls, err);
	if (result == 0)
		result = pd_net_listen(server->net, listener, err);
	/* The listener keeps it. */
	pd_tls_unref(listener->tls);
	listener->tls = NULL;
	return result;
}

int pd_server_open_tls(struct pd_server *server, struct pd_error *err)
{
	const struct pd_config *config = server->config;
	struct pd_net_listener_options listener = {
		.address = server->options.bind_address,
		.port = (int)pd_config_number(config, PD_SETTING_TLS_PORT),
		.tag = TAG_RESP_TLS,
		.flag = "--tls-port",
		.refusal = "",
	};

	return pd_server_listen_tls(server, &listener, err);
}

bool pd_server_has_tls(const struct pd_server *server)
{
	return pd_config_number(server->config, PD_SETTING_TLS_PORT) != 0 ||
	       pd_config_number(server->config, PD_SETTING_HTTPS) != 0;
}

void pd_server_reload_tls(struct pd_server *server)
{
	struct pd_tls *tls = NULL;
	struct pd_error err;

	if (!pd_server_has_tls(server))
		return;
	if (load(server, &tls, &err) != 0) {
		pd_message(&server->messages, PD_MESSAGE_ERROR, "tls",
			   "SIGHUP: the certificate stays the one there was: %s", err.text);
		return;
	}
	pd_net_renew_tls(server->net, TAG_RESP_TLS, tls);
	pd_net_renew_tls(server->net, TAG_HTTP, tls);
	pd_tls_unref(tls);
	pd_message(&server->messages, PD_MESSAGE_INFO, "tls",
		   "SIGHUP: new connections get the certificate in %s",
		   pd_config_text(server->config, PD_SETTING_TLS_CERT_FILE));
}

bool pd_server_has_tls_notice(const struct pd_server *server)
{
	struct pd_tls_stats stats;

	pd_net_tls_stats(server->net, &stats);
	return stats.failures != server->tls_failures_told;
}

void pd_server_notice_tls(struct pd_server *server)
{
	struct pd_tls_stats stats;

	pd_net_tls_stats(server->net, &stats);
	if (stats.failures == server->tls_failures_told)
		return;
	pd_message(&server->messages, PD_MESSAGE_WARNING, "tls",
		   "%llu handshakes have failed, the last one of %s", stats.failures, stats.failure);
	server->tls_failures_told = stats.failures;
}
