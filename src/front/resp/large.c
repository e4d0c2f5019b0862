/* Values that are larger than what one turn should deal with: in and out in pieces.
 *
 * Out. A reply may have holes, each with a source that the engine reads. What stands before the first one is held and sent like any
 * reply; the rest waits beside the output and comes into it piece by piece, when the client has taken what was there:
 *
 *     output   … | $104857600 CR LF |  <-- pieces --  hole | CR LF … | hole | CR LF   rest
 *
 * Until that is over the client's requests wait. A piece that cannot be read leaves only one honest answer: to close.
 *
 * In. While the value of a SET arrives, what is there of it is taken out of the input and given to the engine, which writes it
 * beside everybody's keys. For the parser the argument becomes shorter; the request that is complete in the end has the last
 * bytes of it, and the stage has the others. */
#include <stdio.h>

#include "base/assert.h"
#include "base/memory.h"
#include "front/resp/front_private.h"
#include "os/os.h"

#define PIECE_MAX (64u * 1024)  /* of a reply, in the output at a time */
#define PIECE_MIN 4096u         /* goes on where no memory is left at all */
#define TURN_MAX  (256u * 1024) /* that one client gets, or gives, before others have their turn */

/* ---- out ---- */

void pd_resp_holes_drop(struct pd_resp_writer *reply)
{
	while (reply->hole_count > 0)
		pd_blob_reader_free(reply->holes[--reply->hole_count].source);
}

int pd_resp_stream_begin(struct pd_resp_client *client, struct pd_resp_writer *reply)
{
	struct pd_buffer *output = reply->buffer;
	size_t first = reply->holes[0].at;
	struct pd_resp_stream *stream;

	PD_ASSERT(client->stream == NULL && reply->hole_count <= PD_RESP_HOLES_MAX);
	stream = pd_calloc(1, sizeof *stream);
	if (stream == NULL)
		return PD_NO_MEMORY;
	pd_buffer_init(&stream->rest, output->size - first);
	if (pd_buffer_append(&stream->rest, output->data + first, output->size - first) != 0) {
		pd_free(stream);
		return PD_NO_MEMORY;
	}
	pd_buffer_init(&stream->pushed, PD_RESP_OUTPUT_MAX);
	output->size = first;
	for (size_t i = 0; i < reply->hole_count; i++)
		stream->holes[i] = (struct pd_resp_hole){ reply->holes[i].at - first,
							  reply->holes[i].source };
	stream->count = reply->hole_count;
	reply->hole_count = 0;
	client->stream = stream;
	pd_resp_front_stall(client, PD_RESP_STALL_STREAM);
	return 0;
}

void pd_resp_stream_free(struct pd_resp_client *client)
{
	struct pd_resp_stream *stream = client->stream;

	if (stream == NULL)
		return;
	for (; stream->next < stream->count; stream->next++)
		pd_blob_reader_free(stream->holes[stream->next].source);
	pd_buffer_done(&stream->rest);
	pd_buffer_done(&stream->pushed);
	pd_free(stream);
	client->stream = NULL;
}

size_t pd_resp_stream_memory(const struct pd_resp_client *client)
{
	const struct pd_resp_stream *stream = client->stream;

	return stream != NULL ? sizeof *stream + stream->rest.capacity + stream->pushed.capacity : 0;
}

int pd_resp_stream_push(struct pd_resp_client *client, struct pd_slice bytes, const struct pd_wait *wait)
{
	struct pd_resp_stream *stream = client->stream;
	int result = pd_buffer_append_slice(&stream->pushed, bytes);

	if (result == 0 && wait != NULL)
		pd_resp_wait_longer(&stream->wait, wait);
	return result;
}

bool pd_resp_stream_ready(const struct pd_resp_client *client)
{
	return client->stream != NULL && client->hold.count == 0 && pd_resp_client_unsent(client) == 0;
}

/* How much may come into the output now. */
static size_t open_output(struct pd_resp_client *client)
{
	struct pd_buffer *output = &client->connection->output;

	(void)!pd_resp_memory_open_output(client);
	if (output->max - output->size < PIECE_MIN)
		output->max = output->size + PIECE_MIN;
	return output->max - output->size < PIECE_MAX ? output->max - output->size : PIECE_MAX;
}

/* The next bytes, at most `most` of them, into the output. */
static int take_piece(struct pd_resp_client *client, size_t most, struct pd_error *err)
{
	struct pd_resp_stream *stream = client->stream;
	struct pd_buffer *output = &client->connection->output;
	bool more = stream->next < stream->count;
	size_t until = more ? stream->holes[stream->next].at : stream->rest.size;
	size_t size = until - stream->taken < most ? until - stream->taken : most;
	int result;

	if (size == 0 && more) {
		result = pd_blob_read(stream->holes[stream->next].source, most, output, err);
		if (result == 0)
			pd_blob_reader_free(stream->holes[stream->next++].source);
		return result < 0 ? result : 0;
	}
	result = pd_buffer_append(output, stream->rest.data + stream->taken, size);
	if (result == 0)
		stream->taken += size;
	return result == 0 ? 0 : pd_error_set(err, result, "out of memory for the reply");
}

/* The reply is over: the messages that have come meanwhile are sent as if they came now. */
static void end(struct pd_resp_client *client)
{
	struct pd_buffer pushed = client->stream->pushed;
	struct pd_wait wait = client->stream->wait;

	client->stream->pushed = (struct pd_buffer){ 0 };
	pd_resp_stream_free(client);
	if (pushed.size > 0)
		pd_resp_push_send(client, pd_buffer_slice(&pushed), &wait);
	pd_buffer_done(&pushed);
}

static bool ended(const struct pd_resp_stream *stream)
{
	return stream->next == stream->count && stream->taken == stream->rest.size;
}

bool pd_resp_stream_move(struct pd_resp_client *client)
{
	struct pd_resp_memory *memory = &client->front->memory;
	struct pd_buffer *output = &client->connection->output;
	size_t moved = 0;
	struct pd_error err;

	while (client->stream != NULL && moved < TURN_MAX && pd_resp_client_unsent(client) == 0 &&
	       !client->connection->reset) {
		size_t most = open_output(client), before = output->size;

		if (take_piece(client, most, &err) != 0) {
			(void)snprintf(memory->notice, sizeof memory->notice,
				       "client %llu (%s) was closed in the middle of a reply: %.100s",
				       (unsigned long long)client->connection->id, client->connection->peer,
				       err.text);
			return false;
		}
		moved += output->size - before;
		client->hold.shown = client->base + output->size;
		if (ended(client->stream))
			end(client);
		pd_resp_memory_count(client);
		pd_resp_client_push(client);
	}
	return true;
}

/* ---- in ---- */

/* Is what is arriving a value that goes to the engine as it comes? */
static bool is_staged(struct pd_resp_client *client, const struct pd_resp_arriving *arriving)
{
	struct pd_resp_front *front = client->front;
	const struct pd_resp_entry *entry;
	struct pd_error why;

	if (client->stage != NULL)
		return true;
	/* What waits for EXEC is copied, and goes as one transaction. */
	if (arriving->count < 2 || arriving->size < pd_stage_least(front->engine) || front->loading ||
	    client->transaction.open || client->skipping)
		return false;
	entry = pd_resp_registry_name(&front->registry, arriving->arguments[0]);
	if (entry == NULL || pd_command_large_word(&entry->command) != arriving->count ||
	    !pd_resp_entry_takes(entry, arriving->expected))
		return false;
	if (!pd_resp_access_admits(client, entry, &why)) {
		pd_resp_client_deny_request(client, &why);
		return false;
	}
	if (pd_resp_front_paused(front, client, entry)) {
		pd_resp_front_stall(client, PD_RESP_STALL_PAUSE);
		return false;
	}
	if (pd_resp_client_session(client) == NULL)
		return false;
	client->stage = pd_stage_new(front->engine, client->session);
	return client->stage != NULL;
}

/* Give the engine `size` bytes, which then leave the input. false: not now, or not at all. */
static bool stage_piece(struct pd_resp_client *client, const struct pd_resp_arriving *arriving, size_t begin,
			size_t size)
{
	struct pd_buffer *input = &client->connection->input;
	struct pd_receipt receipt = { 0 };
	struct pd_error err;
	int result = pd_stage_add(client->stage, arriving->arguments[1], pd_slice(input->data + begin, size),
				  &receipt, &err);

	if (pd_resp_must_wait(client, result, &receipt))
		return false;
	if (result != 0) {
		pd_resp_client_fail_request(client, result, &err);
		return false;
	}
	input->size -= size;
	memmove(input->data + begin, input->data + begin + size, input->size - begin);
	pd_resp_take_arriving(client->parser, size);
	client->last_ns = client->front->clock_ns;
	return true;
}

void pd_resp_stage_input(struct pd_resp_client *client, size_t at)
{
	const struct pd_buffer *input = &client->connection->input;
	size_t piece = (size_t)pd_stage_piece(client->front->engine);
	struct pd_resp_arriving arriving;

	if (!pd_resp_arriving(client->parser, &arriving) || !is_staged(client, &arriving))
		return;
	for (;;) {
		size_t begin = at + arriving.at, there = input->size - begin;

		if (there > arriving.size)
			there = arriving.size;
		there = there < TURN_MAX ? there : TURN_MAX;
		there -= there % piece;
		if (there == 0 || !stage_piece(client, &arriving, begin, there))
			break;
		arriving.size -= there;
	}
	/* No more of it has to be in memory than the next piece. */
	if (client->input_wanted > arriving.at + piece)
		client->input_wanted = arriving.at + piece;
}
