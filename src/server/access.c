/* Who may come in: nobody from other machines while there is no user. */
#include "server/server_private.h"

bool pd_server_is_guarded(const struct pd_server *server)
{
	return !pd_config_address_is_loopback(server->options.bind_address) && !server->options.allow_open;
}

int pd_server_load_users(struct pd_server *server, struct pd_error *err)
{
	const struct pd_server_options *options = &server->options;
	int result = pd_users_load(&server->users, server->engine, err);

	if (result != 0)
		return result;
	if (server->users.count > 0) {
		pd_message(&server->messages, PD_MESSAGE_INFO, "users", "%zu; everybody has to log in%s",
			   server->users.count, options->in_memory ? "" : ", but for the admin socket");
		return 0;
	}
	if (!pd_server_is_guarded(server))
		return 0;
	server->unguarded = true;
	if (options->in_memory)
		return pd_error_set(
			err, PD_PERMISSION,
			"there is no user, and whoever reached %s could read and change everything: with "
			"--memory use 127.0.0.1, or say --allow-open",
			options->bind_address);
	return pd_error_set(
		err, PD_PERMISSION,
		"there is no user, and whoever reached %s could read and change everything: make one "
		"with 'perdure user add NAME --role admin --data %s', or use 127.0.0.1, or say --allow-open",
		options->bind_address, options->data_directory);
}
