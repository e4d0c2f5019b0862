/* One client: its life and its output. */
#include "base/assert.h"
#include "base/memory.h"
#include "engine/state_hash.h"
#include "front/resp/front_private.h"
#include "history/job.h"
#include "restore/job.h"
#include "os/os.h"
#include "security/login.h"
#include "security/user.h"

static int grow_list(struct pd_resp_list *list, size_t capacity)
{
	struct pd_resp_client **grown = pd_realloc(list->items, capacity * sizeof(struct pd_resp_client *));

	if (grown == NULL)
		return PD_NO_MEMORY;
	list->items = grown;
	return 0;
}

/* Room for one more client in every list, so that nothing in a turn can run out of memory for them. A list holds each
 * client at most once, or twice while it is gone through (pd_resp_front_resume), and the holes of those that have
 * closed in this turn. */
static int make_room(struct pd_resp_front *front)
{
	size_t holes = front->touched.count + front->holding.count + front->stalled.count;
	size_t needed = 2 * (front->client_count + 1) + holes;
	size_t capacity = front->client_capacity == 0 ? 64 : front->client_capacity;
	struct pd_resp_client **grown;

	while (capacity < needed)
		capacity *= 2;
	if (capacity == front->client_capacity)
		return 0;
	if (grow_list(&front->touched, capacity) != 0 || grow_list(&front->holding, capacity) != 0 ||
	    grow_list(&front->stalled, capacity) != 0)
		return PD_NO_MEMORY;
	grown = pd_realloc(front->clients, capacity * sizeof(struct pd_resp_client *));
	if (grown == NULL)
		return PD_NO_MEMORY;
	front->clients = grown;
	front->client_capacity = capacity;
	return 0;
}

int pd_resp_client_new(struct pd_resp_front *front, struct pd_connection *connection, bool is_operator)
{
	struct pd_resp_client *client;

	if (make_room(front) != 0)
		return PD_NO_MEMORY;
	client = pd_calloc(1, sizeof *client);
	if (client == NULL)
		return PD_NO_MEMORY;
	client->parser = pd_resp_parser_new(PD_RESP_INPUT_MAX);
	if (client->parser == NULL) {
		pd_free(client);
		return PD_NO_MEMORY;
	}
	client->front = front;
	client->connection = connection;
	client->protocol = 2;
	client->is_operator = is_operator;
	client->since_ns = client->last_ns = client->sent_ns = pd_os_monotonic_ns(front->os);
	pd_resp_transaction_init(&client->transaction, PD_RESP_QUEUE_MAX);
	front->operator_count += is_operator;
	client->slot = front->client_count;
	front->clients[front->client_count++] = client;
	connection->owner = client;
	pd_resp_memory_count(client);
	pd_resp_memory_share(front);
	return 0;
}

static void leave_list(struct pd_resp_list *list, const struct pd_resp_client *client)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i] == client)
			list->items[i] = NULL;
}

void pd_resp_client_close(struct pd_resp_client *client)
{
	struct pd_resp_front *front = client->front;
	struct pd_resp_client *last = front->clients[front->client_count - 1];

	if (client->touched)
		leave_list(&front->touched, client);
	if (client->holding)
		leave_list(&front->holding, client);
	if (client->stalled)
		leave_list(&front->stalled, client);
	front->clients[client->slot] = last;
	last->slot = client->slot;
	front->client_count--;
	front->operator_count -= client->is_operator;
	pd_resp_front_unstall(client, 0);
	pd_resp_memory_forget(client);
	pd_resp_memory_share(front);
	pd_resp_pubsub_leave_all(&front->pubsub, &client->subscriber);
	pd_resp_keyspace_listen(front);
	pd_resp_show_no_more(client);
	client->connection->owner = NULL;
	pd_resp_stream_free(client);
	pd_stage_free(client->stage);
	pd_connection_close(client->connection);
	pd_login_free(client->login);
	pd_state_hash_free(client->hash);
	pd_history_job_free(client->history_job);
	pd_restore_job_free(client->restore_job);
	pd_transfer_done(&client->transfer);
	pd_session_free(client->session);
	pd_resp_parser_free(client->parser);
	pd_resp_hold_done(&client->hold);
	pd_resp_transaction_done(&client->transaction);
	pd_free(client->name);
	pd_free(client->library_name);
	pd_free(client->library_version);
	pd_free(client);
}

struct pd_session *pd_resp_client_session(struct pd_resp_client *client)
{
	const char *text = client->name != NULL ? client->name : client->connection->peer;

	struct pd_error err;

	if (client->session != NULL)
		return client->session;
	client->session = pd_session_new(client->front->engine, client->connection->id,
					 pd_resp_client_user_name(client), text);
	if (client->session == NULL || client->user == NULL)
		return client->session;
	if (pd_session_set_home(client->session, pd_slice_string(client->user->tenant),
				client->user->role != PD_ROLE_ADMIN, &err) != 0) {
		pd_session_free(client->session);
		client->session = NULL;
	}
	return client->session;
}

struct pd_slice pd_resp_client_tenant(const struct pd_resp_client *client)
{
	/* As pd_resp_client_session() begins. */
	if (client->session == NULL)
		return pd_slice_string(client->user != NULL ? client->user->tenant : "default");
	return pd_session_tenant(client->session);
}

int pd_resp_client_set_text(char **text, struct pd_slice value)
{
	char *copy = NULL;

	if (value.size > 0) {
		copy = pd_malloc(value.size + 1);
		if (copy == NULL)
			return PD_NO_MEMORY;
		memcpy(copy, value.data, value.size);
		copy[value.size] = '\0';
	}
	pd_free(*text);
	*text = copy;
	return 0;
}

int pd_resp_client_set_name(struct pd_resp_client *client, struct pd_slice name)
{
	int result = pd_resp_client_set_text(&client->name, name);

	if (result != 0 || client->session == NULL)
		return result;
	/* The log names a writer by what it calls itself, else by where it comes from. */
	return pd_session_set_client_text(client->session,
					  client->name != NULL ? client->name : client->connection->peer);
}

size_t pd_resp_client_unsent(const struct pd_resp_client *client)
{
	return client->connection->output.size - client->connection->sent;
}

void pd_resp_client_push(struct pd_resp_client *client)
{
	struct pd_connection *connection = client->connection;
	size_t end = (size_t)(client->hold.shown - client->base);
	size_t sent = connection->sent, moved;

	PD_ASSERT(client->hold.shown >= client->base && end <= connection->output.size);
	if (sent == end)
		return;
	moved = pd_connection_send(connection, end);
	client->base += moved;
	if (connection->sent + moved > sent)
		client->sent_ns = client->front->clock_ns;
	if (connection->output.size == 0)
		pd_resp_memory_count(client);
}

bool pd_resp_client_send(struct pd_resp_client *client)
{
	struct pd_connection *connection = client->connection;
	bool unread = false;

	pd_resp_client_push(client);
	if (!connection->reset && !client->overrun && pd_resp_stream_ready(client))
		unread = !pd_resp_stream_move(client);
	if (connection->reset || client->overrun || unread ||
	    (client->closing && pd_resp_client_unsent(client) == 0 && client->stream == NULL)) {
		pd_resp_client_close(client);
		return false;
	}
	return true;
}
