#include "front/resp/memory.h"

#include <stdio.h>

#include "base/memory.h"
#include "front/resp/front_private.h"
#include "os/heap.h"

#define SHARE_MIN       2048u
#define UNSENT_MIN      (16u * 1024)
#define ROOM_MAX        (64u * 1024)
#define SMALL_ROOM      4096u /* for the replies of one that holds nothing, out of what is set aside for them */
#define CLOSED_MAX      100u  /* clients in one tick */
#define SESSION_BYTES   1024u /* about: the engine's part of a client */
#define CLIENT_BYTES    3072u /* about: a client that has nothing to do */
#define PATIENCE_NS     30000000000u
#define RECLAIM_NS      10000000u
#define GIVE_BACK_BYTES (32u << 20)
#define UNREAD_NS       5000000000u /* its kernel may take a while to ask for more of its replies */
#define STUCK_NS        2000000000u /* a client that moves nothing for so long may be keeping others waiting */

static uint64_t between(uint64_t value, uint64_t least, uint64_t most)
{
	if (value < least)
		return least;
	return value < most ? value : most;
}

/* What all grants, and whatever else there is, leave for replies. */
static uint64_t grants_max(const struct pd_resp_memory *memory)
{
	return memory->max / 8 * 7;
}

static uint64_t idle_bytes(const struct pd_resp_front *front)
{
	return (uint64_t)front->client_count * CLIENT_BYTES;
}

/* The largest request: more would not fit though nobody else had anything to do. */
static uint64_t request_max(const struct pd_resp_front *front)
{
	uint64_t most = grants_max(&front->memory), idle = idle_bytes(front);

	return most / 8 * 7 > idle ? most / 8 * 7 - idle : 0;
}

void pd_resp_memory_init(struct pd_resp_front *front, uint64_t max)
{
	front->memory = (struct pd_resp_memory){ 0 };
	pd_resp_memory_limit(front, max);
}

void pd_resp_memory_limit(struct pd_resp_front *front, uint64_t max)
{
	front->memory.max = max;
	front->memory.room_min = (size_t)between(max / 64, 0, ROOM_MAX);
	pd_resp_memory_share(front);
}

void pd_resp_memory_share(struct pd_resp_front *front)
{
	struct pd_resp_memory *memory = &front->memory;
	uint64_t each = memory->max / 4 / (front->client_count + 1);

	memory->share = (size_t)between(each, SHARE_MIN, PD_NET_CHUNK_MAX);
	memory->unsent_max = (size_t)between(each, UNSENT_MIN, PD_RESP_UNSENT_MAX);
	pd_net_set_chunk_max(front->net, memory->share);
}

bool pd_resp_memory_admits(struct pd_resp_front *front)
{
	struct pd_resp_memory *memory = &front->memory;

	if (idle_bytes(front) <= grants_max(memory))
		return true;
	memory->refused_clients++;
	(void)snprintf(
		memory->notice, sizeof memory->notice,
		"a client was refused: %zu are all that the clients' part of the memory budget, %llu MiB, "
		"takes",
		front->client_count, (unsigned long long)(memory->max >> 20));
	return false;
}

/* ---- counting ---- */

void pd_resp_memory_count(struct pd_resp_client *client)
{
	struct pd_resp_memory *memory = &client->front->memory;
	struct pd_connection *connection = client->connection;
	size_t now;

	if (memory->waiting > 0 || memory->used > memory->max / 2)
		pd_connection_free_empty(connection);
	now = sizeof *client + pd_connection_memory(connection) + pd_resp_parser_memory(client->parser) +
	      client->hold.capacity * sizeof *client->hold.entries +
	      pd_resp_transaction_memory(&client->transaction) + client->subscriber.bytes +
	      (client->session != NULL ? SESSION_BYTES : 0) + pd_resp_stream_memory(client);
	if (client->granted > connection->input.capacity)
		now += client->granted - connection->input.capacity;
	memory->used += now;
	memory->used -= client->memory;
	client->memory = now;
	if (memory->used > memory->peak)
		memory->peak = memory->used;
}

void pd_resp_memory_forget(struct pd_resp_client *client)
{
	client->front->memory.used -= client->memory;
	client->memory = 0;
}

/* A part is left to small replies, so that those who hold nothing need not queue behind those who hold all of it. */
static uint64_t left(const struct pd_resp_memory *memory)
{
	uint64_t most = memory->max - memory->max / 16;

	return memory->used < most ? most - memory->used : 0;
}

bool pd_resp_memory_is_small(const struct pd_resp_client *client)
{
	const struct pd_resp_memory *memory = &client->front->memory;

	return client->granted == 0 && client->room_wanted == 0 && client->input_wanted <= memory->share &&
	       pd_resp_client_unsent(client) == 0 && memory->used + SMALL_ROOM <= memory->max;
}

bool pd_resp_memory_has_room(const struct pd_resp_client *client, size_t size)
{
	const struct pd_resp_memory *memory = &client->front->memory;

	/* What is queued stays for as long as its client likes: others must be able to go on. */
	return client->is_operator || left(memory) >= size + memory->max / 4;
}

/* Buffers that are empty are kept for a while, as they are likely to be needed again; but not while somebody waits. `except` is
 * in the middle of something. */
static void reclaim(struct pd_resp_front *front, const struct pd_resp_client *except)
{
	struct pd_resp_memory *memory = &front->memory;

	if (front->clock_ns - memory->reclaimed_ns < RECLAIM_NS)
		return;
	memory->reclaimed_ns = front->clock_ns;
	for (size_t i = 0; i < front->client_count; i++) {
		if (front->clients[i] == except)
			continue;
		pd_connection_free_empty(front->clients[i]->connection);
		pd_resp_memory_count(front->clients[i]);
	}
}

/* ---- replies ---- */

bool pd_resp_memory_open_output(struct pd_resp_client *client)
{
	struct pd_resp_memory *memory = &client->front->memory;
	struct pd_buffer *output = &client->connection->output;
	uint64_t room = client->is_operator ? PD_RESP_OUTPUT_MAX : left(memory);
	bool enough = room >= memory->room_min;

	if (!enough) {
		reclaim(client->front, client);
		room = left(memory);
		enough = room >= memory->room_min;
	}

	client->small_room = !enough && pd_resp_memory_is_small(client);
	if (client->small_room) {
		room = SMALL_ROOM;
		enough = true;
	}
	/* Others wait for what was granted to it: it must be able to answer and give it back. */
	if (!enough && client->granted > 0) {
		room = between(client->granted / 4, 0, memory->room_min);
		enough = true;
	}
	output->max = (size_t)between(output->capacity + between(room, 0, PD_RESP_OUTPUT_MAX),
				      output->capacity, PD_RESP_OUTPUT_MAX);
	return enough;
}

bool pd_resp_memory_wait_for_room(struct pd_resp_client *client, size_t start)
{
	const struct pd_resp_memory *memory = &client->front->memory;
	size_t had = client->connection->output.max - start;
	uint64_t most = grants_max(memory), idle = idle_bytes(client->front);

	if (client->is_operator || client->room_wanted == SIZE_MAX || had >= PD_RESP_OUTPUT_MAX / 2)
		return false;
	most = most > idle ? most - idle : 0;
	if (had >= most)
		return false;
	/* No less than what lets a request run at all. */
	client->room_wanted = (size_t)between(2 * (uint64_t)had, between(2 * memory->room_min, 0, most),
					      most);
	reclaim(client->front, client);
	pd_resp_front_stall(client, PD_RESP_STALL_MEMORY);
	return true;
}

/* ---- requests ---- */

/* What the input would have to be, to take the request and what comes with its end. */
static uint64_t needed(const struct pd_resp_client *client)
{
	return (uint64_t)client->input_wanted + client->front->memory.share;
}

static bool fits(const struct pd_resp_client *client)
{
	const struct pd_resp_memory *memory = &client->front->memory;
	size_t has = client->connection->input.capacity;
	uint64_t more;

	has = client->granted > has ? client->granted : has;
	more = needed(client) > has ? needed(client) - has : 0;
	return client->is_operator || memory->used + more <= grants_max(memory);
}

enum pd_resp_grant pd_resp_memory_grant(struct pd_resp_client *client, bool in_turn)
{
	struct pd_resp_memory *memory = &client->front->memory;
	struct pd_buffer *input = &client->connection->input;

	if (client->input_wanted <= memory->share) {
		/* A request that is complete, and has to wait for something else, keeps what it has. */
		if (input->size <= memory->share) {
			client->granted = 0;
			input->max = PD_RESP_INPUT_MAX;
		}
		return PD_RESP_GRANTED;
	}
	if (client->granted >= client->input_wanted)
		return PD_RESP_GRANTED;
	if (!client->is_operator && needed(client) > request_max(client->front))
		return PD_RESP_GRANT_NEVER;
	if (!fits(client))
		reclaim(client->front, client);
	/* Those who wait already come first, but whoever has begun must be able to end. */
	if (!fits(client) ||
	    (memory->waiting > 0 && !in_turn && client->granted == 0 && !client->is_operator))
		return PD_RESP_GRANT_LATER;
	client->granted = (size_t)between(needed(client), 0, PD_RESP_INPUT_MAX);
	input->max = client->granted > input->capacity ? client->granted : input->capacity;
	return PD_RESP_GRANTED;
}

bool pd_resp_memory_would_fit(const struct pd_resp_client *client)
{
	const struct pd_resp_memory *memory = &client->front->memory;

	if (client->input_wanted > memory->share)
		return fits(client);
	if (client->room_wanted > 0)
		return left(memory) + client->connection->output.capacity >= client->room_wanted;
	return client->is_operator || client->granted > 0 || left(memory) >= 2 * memory->room_min;
}

/* ---- those who keep others waiting ---- */

static bool is_longer(uint64_t since_ns, uint64_t now_ns, uint64_t patience_ns)
{
	return now_ns > since_ns && now_ns - since_ns > patience_ns;
}

/* The one that does not take its replies and has most of them. */
static struct pd_resp_client *worst_reader(const struct pd_resp_front *front, uint64_t now_ns)
{
	struct pd_resp_client *worst = NULL;
	uint64_t least = between(front->memory.unsent_max, 0, front->memory.room_min);

	for (size_t i = 0; i < front->client_count; i++) {
		struct pd_resp_client *client = front->clients[i];
		size_t unsent = pd_resp_client_unsent(client);

		if (!client->is_operator && unsent > least && client->hold.count == 0 &&
		    is_longer(client->sent_ns, now_ns, UNREAD_NS) &&
		    (worst == NULL || unsent > pd_resp_client_unsent(worst)))
			worst = client;
	}
	return worst;
}

/* Does the first of those who wait still not get what it waits for? */
static bool somebody_waits(const struct pd_resp_front *front)
{
	for (size_t i = 0; i < front->stalled.count; i++) {
		const struct pd_resp_client *client = front->stalled.items[i];

		if (client != NULL && (client->stall & PD_RESP_STALL_MEMORY) != 0)
			return !pd_resp_memory_would_fit(client);
	}
	return false;
}

static void close_readers(struct pd_resp_front *front, uint64_t now_ns)
{
	struct pd_resp_memory *memory = &front->memory;
	struct pd_resp_client *client;
	unsigned closed = 0;

	if (!somebody_waits(front))
		return;
	/* Were it only as many as the first of those who wait needs, a crowd that takes nothing would let in one a second. */
	while (closed++ < CLOSED_MAX && (left(memory) < memory->max / 4 || somebody_waits(front)) &&
	       (client = worst_reader(front, now_ns)) != NULL) {
		(void)snprintf(
			memory->notice, sizeof memory->notice,
			"client %llu (%s) was closed: it has not taken its replies of %zu KiB, and others "
			"wait for memory",
			(unsigned long long)client->connection->id, client->connection->peer,
			pd_resp_client_unsent(client) / 1024);
		memory->closed_clients++;
		pd_resp_client_close(client);
	}
}

/* An unfinished request that stands still, or has waited for longer than makes sense. */
static bool must_give_up_request(const struct pd_resp_client *client, uint64_t now_ns)
{
	if (client->input_wanted == 0 || client->skipping || (client->stall & PD_RESP_STALL_BRAKE) != 0)
		return false;
	if (client->granted > 0)
		return is_longer(client->last_ns, now_ns, STUCK_NS);
	return (client->stall & PD_RESP_STALL_MEMORY) != 0 && is_longer(client->last_ns, now_ns, PATIENCE_NS);
}

/* It has waited for room for its reply for longer than makes sense. */
static bool must_give_up_reply(const struct pd_resp_client *client, uint64_t now_ns)
{
	return client->room_wanted > 0 && (client->stall & PD_RESP_STALL_MEMORY) != 0 &&
	       is_longer(client->last_ns, now_ns, PATIENCE_NS);
}

static void take_back(struct pd_resp_front *front, uint64_t now_ns)
{
	for (size_t i = front->client_count; i > 0; i--) {
		struct pd_resp_client *client = front->clients[i - 1];

		if (client->is_operator)
			continue;
		if (must_give_up_request(client, now_ns))
			pd_resp_client_refuse_request(client);
		if (must_give_up_reply(client, now_ns)) {
			client->room_wanted = SIZE_MAX;
			pd_resp_front_unstall(client, client->stall & ~(unsigned)PD_RESP_STALL_MEMORY);
			pd_resp_client_run(client);
		}
		if (client->transaction.open && (client->stall & PD_RESP_STALL_BRAKE) == 0 &&
		    pd_resp_transaction_memory(&client->transaction) > front->memory.room_min &&
		    is_longer(client->last_ns, now_ns, STUCK_NS)) {
			pd_resp_transaction_give_up(&client->transaction);
			front->memory.refused_requests++;
			pd_resp_memory_count(client);
		}
	}
}

void pd_resp_memory_tick(struct pd_resp_front *front, uint64_t now_ns)
{
	struct pd_resp_memory *memory = &front->memory;

	/* Waiting for a moment is as it should be. */
	if (memory->waiting > 0 && memory->waiting_before > 0) {
		take_back(front, now_ns);
		close_readers(front, now_ns);
	}
	memory->waiting_before = memory->waiting;
	/* Many small blocks that are free leave the heap as large as it was. */
	if (memory->peak - memory->used > GIVE_BACK_BYTES) {
		pd_os_release_memory();
		memory->peak = memory->used;
	}
}
