/* Who a client is, and what it may do. */
#include <string.h>

#include "engine/engine.h"
#include "front/resp/front_private.h"
#include "os/os.h"
#include "security/login.h"
#include "security/user.h"

#define WRONG_PASS_TEXT "WRONGPASS invalid username-password pair or user is disabled."
#define LOOK_NS \
	UINT64_C(500000000) /* between two looks whether a client that waits for its login is still there */

bool pd_resp_access_is_known(const struct pd_resp_client *client)
{
	const struct pd_resp_front *front = client->front;

	if (client->is_operator || front->options.users == NULL || client->user != NULL)
		return true;
	return !front->options.guarded && (front->loading || front->options.users->count == 0);
}

static bool role_allows(enum pd_role role, unsigned flags)
{
	if (role == PD_ROLE_ADMIN)
		return true;
	if ((flags & PD_COMMAND_ADMIN) != 0)
		return false;
	return role == PD_ROLE_READ_WRITE || (flags & PD_COMMAND_WRITE) == 0;
}

/* While the log is replayed nobody knows who the users are: what could change or give away anything must wait. */
static bool waits_for_users(const struct pd_resp_client *client, unsigned flags)
{
	const struct pd_resp_front *front = client->front;

	return front->loading && !client->is_operator && front->options.users != NULL &&
	       (front->options.guarded ||
		(flags & (PD_COMMAND_ADMIN | PD_COMMAND_WRITE | PD_COMMAND_PUBSUB)) != 0);
}

static bool refuse_role(const struct pd_resp_client *client, const struct pd_resp_entry *entry,
			struct pd_error *why)
{
	(void)pd_error_set(why, PD_PERMISSION,
			   "NOPERM this user has no permissions to run the '%s' command: its role is %s",
			   entry->name.text, pd_role_name(client->user->role));
	return false;
}

bool pd_resp_access_admits(const struct pd_resp_client *client, const struct pd_resp_entry *entry,
			   struct pd_error *why)
{
	const struct pd_resp_transaction *transaction = &client->transaction;

	if ((entry->command.flags & PD_COMMAND_NO_AUTH) != 0)
		return true;
	if (waits_for_users(client, entry->command.flags)) {
		(void)pd_error_set(why, PD_AGAIN,
				   "LOADING Perdure is replaying its log, and does not know its users yet");
		return false;
	}
	if (!pd_resp_access_is_known(client)) {
		(void)pd_error_set(why, PD_PERMISSION, "NOAUTH Authentication required.");
		return false;
	}
	if (client->user == NULL)
		return true;
	if (!role_allows(client->user->role, entry->command.flags))
		return refuse_role(client, entry, why);
	/* What was queued may have been allowed then. */
	for (size_t i = 0; strcmp(entry->name.text, "exec") == 0 && i < transaction->count; i++)
		if (!role_allows(client->user->role, transaction->queued[i].entry->command.flags))
			return refuse_role(client, transaction->queued[i].entry, why);
	return true;
}

const char *pd_resp_client_user_name(const struct pd_resp_client *client)
{
	return client->user != NULL ? client->user->name : "default";
}

/* ---- logging in ---- */

static void become(struct pd_resp_client *client, const struct pd_user *user)
{
	client->user = user;
	/* Nothing of the one before is left: its place, what it watches and listens to, what its next write was to be known by. */
	client->idempotency_size = 0;
	client->request_id_size = 0;
	client->last_write = (struct pd_receipt){ 0 };
	pd_resp_pubsub_leave_all(&client->front->pubsub, &client->subscriber);
	pd_resp_keyspace_listen(client->front);
	pd_resp_show_no_more(client);
	pd_transfer_done(&client->transfer);
	pd_session_free(client->session);
	client->session = NULL;
}

void pd_resp_client_become(struct pd_resp_client *client, const struct pd_user *user)
{
	become(client, user);
	pd_resp_transaction_clear(&client->transaction);
}

bool pd_resp_access_recognize(struct pd_resp_client *client, struct pd_error *why)
{
	const struct pd_resp_front *front = client->front;
	const struct pd_user *user;

	if (client->user != NULL || !front->options.certificate_users || front->loading ||
	    client->connection->certificate == NULL)
		return true;
	user = pd_users_find(front->options.users, pd_slice_string(client->connection->certificate));
	if (user == NULL || !user->enabled)
		return true;
	/* It has not asked for this: what it had begun must not end as if nothing had happened, nor its next write go elsewhere. */
	if (client->idempotency_size > 0 || client->request_id_size > 0 ||
	    (client->session != NULL && pd_session_is_special(client->session))) {
		client->closing = true;
		(void)pd_error_set(
			why, PD_PERMISSION,
			"NOPERM this connection's certificate has become that of user '%s', to whom nothing "
			"of "
			"what it asked for (PD.USE, PD.DURABILITY, PD.READLEVEL, PD.EPOCH, PD.IDEMPOTENCY, "
			"PD.REQUEST) "
			"applies. Connect again",
			user->name);
		return false;
	}
	become(client, user);
	pd_resp_transaction_disown(&client->transaction);
	return true;
}

bool pd_resp_login_ended(struct pd_resp_call *call)
{
	struct pd_resp_client *client = call->client;

	pd_logins_step(client->front->options.logins);
	if (pd_login_state(client->login) != PD_LOGIN_PENDING)
		return true;
	pd_resp_front_stall(client, PD_RESP_STALL_LOGIN);
	call->later = true;
	return false;
}

bool pd_resp_login_abandoned(struct pd_resp_client *client, uint64_t now_ns)
{
	if ((client->stall & PD_RESP_STALL_LOGIN) == 0 || client->login == NULL ||
	    now_ns < client->login_look_ns)
		return false;
	client->login_look_ns = now_ns + LOOK_NS;
	switch (pd_connection_end(client->connection)) {
	case PD_CONNECTION_OPEN:
		return false;
	case PD_CONNECTION_ENDED:
		return !pd_login_lingers(client->login);
	case PD_CONNECTION_BROKEN:
		return true;
	}
	return false;
}

/* Let the password be checked. false: the error is written. */
static bool begin(struct pd_resp_call *call, const struct pd_user *user, struct pd_slice password)
{
	struct pd_resp_client *client = call->client;
	bool may = user != NULL && user->enabled && user->has_password;
	struct pd_error err;

	if (pd_logins_verify(client->front->options.logins, client->connection->peer,
			     may ? &user->verifier : NULL, password, &client->login, &err) == 0) {
		client->login_look_ns = pd_os_monotonic_ns(client->front->os) + LOOK_NS;
		return true;
	}
	pd_resp_write_engine_error(call->reply, err.code, &err);
	return false;
}

enum pd_resp_login_outcome pd_resp_log_in(struct pd_resp_call *call, struct pd_slice name,
					  struct pd_slice password)
{
	struct pd_resp_client *client = call->client;
	struct pd_resp_front *front = client->front;
	const struct pd_user *user;
	enum pd_login_state state;

	if (front->loading && front->options.users != NULL) {
		pd_resp_write_error(call->reply,
				    "LOADING Perdure is replaying its log, and does not know its users yet");
		return PD_RESP_LOGIN_REFUSED;
	}
	/* As in Redis, any password will do for a default user that has none. */
	if (front->options.users == NULL || (front->options.users->count == 0 && client->login == NULL)) {
		if (pd_slice_equal(name, pd_slice_string("default")))
			return PD_RESP_LOGIN_DONE;
		pd_resp_write_error(call->reply, WRONG_PASS_TEXT);
		return PD_RESP_LOGIN_REFUSED;
	}
	user = pd_users_find(front->options.users, name);
	if (client->login == NULL && !begin(call, user, password))
		return PD_RESP_LOGIN_REFUSED;
	if (!pd_resp_login_ended(call))
		return PD_RESP_LOGIN_LATER;
	state = pd_login_state(client->login);
	/* The password may have become another one since. */
	if (state == PD_LOGIN_ACCEPTED && user != NULL && !pd_login_was_for(client->login, &user->verifier))
		state = PD_LOGIN_REFUSED;
	pd_login_free(client->login);
	client->login = NULL;
	if (state == PD_LOGIN_CROWDED_OUT) {
		pd_resp_write_errorf(call->reply, "%s " PD_LOGIN_BUSY_TEXT, pd_code_resp_prefix(PD_BUSY));
		return PD_RESP_LOGIN_REFUSED;
	}
	if (state == PD_LOGIN_FAILED) {
		pd_resp_write_error(call->reply, "OOM out of memory or threads for a login; try again");
		return PD_RESP_LOGIN_REFUSED;
	}
	/* It may be gone since, or off, or have another password. */
	if (state != PD_LOGIN_ACCEPTED || user == NULL || !user->enabled || !user->has_password) {
		pd_resp_write_error(call->reply, WRONG_PASS_TEXT);
		return PD_RESP_LOGIN_REFUSED;
	}
	/* Who logs in again as who it is already, as with a new token, goes on where it was. */
	if (client->user != user)
		pd_resp_client_become(client, user);
	return PD_RESP_LOGIN_DONE;
}

/* Not at once: it may be the turn's. It is nobody from now on, and runs nothing any more. */
static void dismiss(struct pd_resp_client *client)
{
	pd_resp_client_become(client, NULL);
	client->closing = true;
	pd_connection_want_input(client->connection, false);
	pd_resp_front_touch(client);
}

void pd_resp_front_close_user(struct pd_resp_front *front, const struct pd_user *user,
			      const struct pd_resp_client *but)
{
	for (size_t i = front->client_count; i > 0; i--) {
		struct pd_resp_client *client = front->clients[i - 1];

		if (client->user == user && client != but)
			dismiss(client);
	}
}

void pd_resp_front_close_strangers(struct pd_resp_front *front)
{
	for (size_t i = front->client_count; i > 0; i--) {
		struct pd_resp_client *client = front->clients[i - 1];

		if (client->user == NULL && !client->is_operator &&
		    (client->monitoring || pd_resp_subscriber_has_any(&client->subscriber)))
			dismiss(client);
	}
}
