/* The composition root: what is opened, in which order, and closed again. */
#include "server/server.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "os/heap.h"
#include "server/server_private.h"

#define HTTP_CONNECTIONS 32
#define ADMIN_EXTRA      8 /* an operator gets in when clients are at their maximum */

int pd_server_exit_status(int code)
{
	switch (code) {
	case PD_OK:
		return PD_EXIT_OK;
	case PD_BUSY:
		return PD_EXIT_BUSY;
	case PD_CORRUPT:
	case PD_NEWER_FORMAT:
		return PD_EXIT_DAMAGED;
	default:
		return PD_EXIT_FAILURE;
	}
}

void pd_server_plan_memory(struct pd_server *server)
{
	uint64_t machine = pd_os_machine_memory(server->os);
	uint64_t budget = server->options.memory_budget_bytes;

	pd_budget_plan(budget != 0 ? budget : pd_budget_default(machine), &server->plan);
	pd_message(&server->messages, PD_MESSAGE_INFO, "memory",
		   "a budget of %llu MiB, of the machine's %llu MiB",
		   (unsigned long long)(server->plan.budget >> 20), (unsigned long long)(machine >> 20));
	if (server->plan.budget > machine / 10 * 9)
		pd_message(&server->messages, PD_MESSAGE_WARNING, "memory",
			   "that budget leaves nothing for the system, and it may end this process");
}

/* What to do where a text has the system's words alone. */
static const char *advice(int code)
{
	switch (code) {
	case PD_PERMISSION:
		return "; run the server as the user whose directory it is, or choose another with --data";
	case PD_NOT_FOUND:
		return "; make the directory above it first, or choose another with --data";
	case PD_READ_ONLY:
		return "; mount it read-write, or choose another directory with --data";
	case PD_NO_SPACE:
		return "; make room, or choose another directory with --data";
	case PD_IO:
		return "; 'perdure doctor' looks at the disk under the directory";
	default:
		return "";
	}
}

static int open_engine(struct pd_server *server, struct pd_error *err)
{
	const struct pd_server_options *options = &server->options;
	struct pd_engine_options engine = PD_ENGINE_OPTIONS_DEFAULT;
	struct pd_error why = { 0 };
	int result;

	engine.os = server->os;
	engine.data_directory = options->in_memory ? NULL : options->data_directory;
	engine.default_level = options->default_level;
	engine.sync_interval_ms = options->sync_interval_ms;
	engine.segment_bytes = options->segment_bytes != 0 ? options->segment_bytes : server->plan.segment;
	engine.queue_depth = options->queue_depth;
	engine.in_memory = options->in_memory;
	engine.accept_damage = options->accept_damage;
	engine.memory_budget_bytes = server->plan.budget;
	engine.retention_s = options->retention_s;
	engine.retention_bytes = options->retention_bytes;
	engine.view_age_s = options->view_age_s;
	engine.compaction_bytes_per_s = options->compaction_bytes_per_s;
	result = pd_engine_open(&engine, &server->engine, &why);
	return result == 0 ? 0 : pd_error_set(err, result, "%s%s", why.text, advice(result));
}

static int open_network(struct pd_server *server, struct pd_error *err)
{
	const struct pd_server_options *options = &server->options;
	struct pd_net_options net = { .max_connections = options->max_clients,
				      .input_max = PD_RESP_INPUT_MAX,
				      .output_max = PD_RESP_OUTPUT_MAX };
	int result = pd_net_new(&net, &server->net, err);

	if (result != 0)
		return result;
	if (pd_net_max_connections(server->net) < options->max_clients)
		pd_message(&server->messages, PD_MESSAGE_WARNING, "net",
			   "the limit of open files allows %u clients, not %u; raise it with ulimit -n",
			   pd_net_max_connections(server->net), options->max_clients);
	return 0;
}

/* The door of this machine's operator: where `perdure store` and the like tell a running server what to do. Without it
 * everything else works. */
static void open_admin_socket(struct pd_server *server)
{
	char *path = pd_asprintf("%s/" PD_ADMIN_SOCKET, server->options.data_directory);
	struct pd_net_listener_options listener = { .path = path,
						    .peer = "admin",
						    .tag = TAG_ADMIN,
						    .refusal = PD_RESP_MAX_CLIENTS_TEXT,
						    .extra = ADMIN_EXTRA };
	struct pd_error err;
	int result = path != NULL ? pd_net_listen(server->net, &listener, &err)
				  : pd_error_set(&err, PD_NO_MEMORY, "out of memory for its path");

	if (result != 0)
		pd_message(&server->messages, PD_MESSAGE_WARNING, "admin",
			   "no admin socket, so perdure store, perdure memory and the like "
			   "cannot reach "
			   "this server, while PD.STORE and PD.MEMORY through redis-cli can: %s%s",
			   err.text, result == PD_TOO_LARGE ? "; name the directory by a shorter path" : "");
	pd_free(path);
}

static int open_front(struct pd_server *server, struct pd_error *err)
{
	const struct pd_server_options *options = &server->options;
	struct pd_resp_front_options front = { .os = server->os,
					       .net = server->net,
					       .engine = server->engine,
					       .data_directory = options->data_directory,
					       .bind_address = options->bind_address,
					       .port = options->resp_port,
					       .config = server->config,
					       .users = &server->users,
					       .guarded = pd_server_is_guarded(server),
					       .certificate_users = pd_config_on(
						       server->config, PD_SETTING_TLS_CERTIFICATE_USERS),
					       .in_memory = options->in_memory,
					       .operator_tag = TAG_ADMIN,
					       .memory_max = server->plan.connections,
					       .memory_budget = server->plan.budget,
					       .notify_keyspace_events = options->notify_keyspace_events };
	struct pd_net_listener_options listener = { .address = options->bind_address,
						    .port = options->resp_port,
						    .tag = TAG_RESP,
						    .flag = "--resp",
						    .refusal = PD_RESP_MAX_CLIENTS_TEXT };
	int result;

	server->logins = pd_logins_new(server->os);
	if (server->logins == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for logins");
	front.logins = server->logins;
	result = pd_resp_front_new(&front, &server->resp, err);

	if (result == 0 && options->resp_port != 0)
		result = pd_net_listen(server->net, &listener, err);
	if (result == 0)
		result = pd_server_open_tls(server, err);
	if (result == 0 && !options->in_memory)
		open_admin_socket(server);
	if (result == 0)
		result = pd_server_attach_config(server, err);
	return result;
}

static enum pd_http_asks asks_of(const struct pd_server *server)
{
	const char *whom = pd_config_text(server->config, PD_SETTING_HTTP_LOGIN);

	if (strcmp(whom, "never") == 0)
		return PD_HTTP_ASKS_NOBODY;
	return strcmp(whom, "always") == 0 ? PD_HTTP_ASKS_EVERYBODY : PD_HTTP_ASKS_OTHERS;
}

/* The pages for whoever looks after the server. They are there while the log is replayed. */
static int open_http(struct pd_server *server, struct pd_error *err)
{
	const struct pd_server_options *options = &server->options;
	struct pd_http_front_options front = { .os = server->os,
					       .routes = pd_pages,
					       .context = &server->pages,
					       .max_connections = HTTP_CONNECTIONS,
					       .guard = { .users = &server->users,
							  .logins = server->logins,
							  .asks = asks_of(server),
							  .allow_open = options->allow_open,
							  .certificate_users = pd_config_on(
								  server->config,
								  PD_SETTING_TLS_CERTIFICATE_USERS),
							  .loading = true } };
	struct pd_net_listener_options listener = { .address = options->http_address,
						    .port = options->http_port,
						    .tag = TAG_HTTP,
						    .flag = "--http",
						    .refusal = PD_HTTP_REFUSAL_TEXT,
						    .apart = true };
	int result;

	pd_server_open_pages(server);
	result = pd_http_front_new(&front, &server->http, err);
	if (result == 0 && options->http_port != 0)
		result = pd_net_listen(server->net, &listener, err);
	listener.port = (int)pd_config_number(server->config, PD_SETTING_HTTPS);
	listener.flag = "--https";
	return result == 0 ? pd_server_listen_tls(server, &listener, err) : result;
}

static void say_ready(struct pd_server *server)
{
	const struct pd_server_options *options = &server->options;
	bool is_ipv6 = strchr(options->bind_address, ':') != NULL;
	bool http_is_ipv6 = strchr(options->http_address, ':') != NULL;
	struct pd_engine_stats stats;

	pd_engine_stats(server->engine, &stats);
	pd_message(&server->messages, PD_MESSAGE_INFO, "log", "%s", stats.log_way);
	if (options->http_port != 0)
		pd_message(&server->messages, PD_MESSAGE_INFO, "http",
			   "/livez, /readyz, /health and /metrics on %s%s%s:%d", http_is_ipv6 ? "[" : "",
			   options->http_address, http_is_ipv6 ? "]" : "", options->http_port);
	if (pd_config_number(server->config, PD_SETTING_HTTPS) != 0)
		pd_message(&server->messages, PD_MESSAGE_INFO, "http", "the same over TLS on %s%s%s:%lld",
			   http_is_ipv6 ? "[" : "", options->http_address, http_is_ipv6 ? "]" : "",
			   (long long)pd_config_number(server->config, PD_SETTING_HTTPS));
	if (pd_config_number(server->config, PD_SETTING_TLS_PORT) != 0)
		pd_message(&server->messages, PD_MESSAGE_INFO, "tls", "RESP over TLS on %s%s%s:%lld",
			   is_ipv6 ? "[" : "", options->bind_address, is_ipv6 ? "]" : "",
			   (long long)pd_config_number(server->config, PD_SETTING_TLS_PORT));
	if (options->resp_port == 0)
		pd_message(&server->messages, PD_MESSAGE_INFO, "server",
			   "ready: no plain listener for Redis clients (--resp 0)");
	else
		pd_message(&server->messages, PD_MESSAGE_INFO, "server", "ready: RESP on %s%s%s:%d",
			   is_ipv6 ? "[" : "", options->bind_address, is_ipv6 ? "]" : "", options->resp_port);
}

/* Recover and serve, everything being open. */
static int run(struct pd_server *server, struct pd_error *err)
{
	int result = pd_server_recover(server, err);

	if (result != 0 || server->stopping)
		return result;
	result = pd_server_open_archive(server, err);
	if (result == 0)
		result = pd_server_open_backups(server, err);
	if (result != 0)
		return result;
	say_ready(server);
	pd_server_tell_ready(server);
	result = pd_server_serve(server, err);
	if (result == 0)
		pd_server_drain(server);
	return result;
}

static void say_beginning(struct pd_server *server)
{
	const struct pd_server_options *options = &server->options;

	pd_message(&server->messages, PD_MESSAGE_INFO, "server", "perdure " PD_VERSION);
	if (options->in_memory)
		pd_message(&server->messages, PD_MESSAGE_INFO, "data",
			   "in memory only; it ends with this process");
	else
		pd_message(&server->messages, PD_MESSAGE_INFO, "data", "%s, default durability %s",
			   options->data_directory, pd_level_name(options->default_level));
}

/* Before anything is opened: what the process may do and show. */
static int prepare_process(struct pd_server *server, struct pd_error *err)
{
	pd_os_tune_memory();
	pd_os_private_files();
	if (server->options.no_core_dumps && pd_os_no_core_dumps(err) != 0)
		return err->code;
	/* Without a manager there is none, and nobody to tell. */
	server->notify = pd_os_notify_new();
	server->started_real_us = pd_os_real_us(server->os);
	return 0;
}

/* Open everything, in an order that gives the best answers. Returns an exit status. */
static enum pd_exit open_all(struct pd_server *server, struct pd_error *err)
{
	/* Opening the engine writes nothing but a new directory's manifest, and who has the directory is a better answer
	 * than who has the port; listening comes before the log is replayed. */
	int result = open_network(server, err);

	if (result == 0)
		result = open_engine(server, err);
	if (result != 0)
		return (enum pd_exit)pd_server_exit_status(result);
	/* From here on PD_BUSY is a port, not the directory. */
	result = open_front(server, err);
	if (result == 0)
		result = open_http(server, err);
	if (result == 0)
		result = pd_net_take_signals(server->net, err);
	return result == 0 ? PD_EXIT_OK : PD_EXIT_FAILURE;
}

/* Close what is open. The socket in the directory goes while the directory is still ours: the next server's must not be
 * taken away. */
static int close_all(struct pd_server *server, int status)
{
	struct pd_error err = { 0 };

	if (server->net != NULL)
		pd_net_stop_listening(server->net, 0);
	pd_server_close_archive(server);
	pd_server_close_backups(server);
	pd_resp_front_free(server->resp);
	pd_http_front_free(server->http);
	pd_logins_free(server->logins);
	pd_users_done(&server->users);
	if (server->engine != NULL && pd_engine_close(server->engine, &err) != 0) {
		pd_message(&server->messages, PD_MESSAGE_ERROR, "server", "%s", err.text);
		status = status != PD_EXIT_OK ? status : PD_EXIT_FAILURE;
	}
	pd_net_free(server->net);
	return status;
}

int pd_server_run(struct pd_config *config)
{
	struct pd_server server = { .config = config };
	struct pd_error err = { 0 };
	int status = PD_EXIT_FAILURE;

	pd_server_options_from(config, &server.options);
	pd_messages_init(&server.messages, NULL, server.options.message_format, server.options.message_level);
	if (pd_os_real_new(&server.os, &err) != 0)
		goto out;
	server.messages.os = server.os;
	say_beginning(&server);
	if (prepare_process(&server, &err) != 0)
		goto out;
	pd_server_plan_memory(&server);
	status = open_all(&server, &err);
	if (status == PD_EXIT_OK)
		status = pd_server_exit_status(run(&server, &err));
	if (server.unguarded)
		status = PD_EXIT_USAGE;
out:
	if (status != PD_EXIT_OK)
		pd_message(&server.messages, PD_MESSAGE_ERROR, "server", "%s", err.text);
	status = close_all(&server, status);
	if (status == PD_EXIT_OK)
		pd_message(&server.messages, PD_MESSAGE_INFO, "server", "%s",
			   server.options.in_memory ? "stopped: what was in memory is gone"
						    : "stopped: everything is on stable storage");
	pd_os_notify_free(server.notify);
	pd_os_free(server.os);
	return status;
}
