#include "front/resp/push.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "front/resp/front_private.h"

#define KEPT_BYTES (64u * 1024) /* of the buffers, from one request to the next */

/* How a noted message lies in the buffer, before its tenant, channel and payload. */
struct head {
	enum pd_resp_topic_kind kind;
	size_t tenant_size, channel_size, payload_size;
};

struct message {
	enum pd_resp_topic_kind kind;
	struct pd_slice tenant, channel, payload;
};

void pd_resp_push_init(struct pd_resp_front *front)
{
	struct pd_resp_pushes *pushes = &front->pushes;

	*pushes = (struct pd_resp_pushes){ .hard_bytes = PD_RESP_PUSH_HARD_BYTES,
					   .soft_bytes = PD_RESP_PUSH_SOFT_BYTES,
					   .soft_seconds = PD_RESP_PUSH_SOFT_SECONDS };
	pd_buffer_init(&pushes->noted, PD_RESP_OUTPUT_MAX);
	pd_buffer_init(&pushes->frames[0], PD_RESP_OUTPUT_MAX);
	pd_buffer_init(&pushes->frames[1], PD_RESP_OUTPUT_MAX);
}

void pd_resp_push_done(struct pd_resp_front *front)
{
	struct pd_resp_pushes *pushes = &front->pushes;

	pd_buffer_done(&pushes->noted);
	pd_buffer_done(&pushes->frames[0]);
	pd_buffer_done(&pushes->frames[1]);
}

/* ---- noting ---- */

size_t pd_resp_push_audience(const struct pd_resp_front *front, enum pd_resp_topic_kind kind,
			     struct pd_slice tenant, struct pd_slice channel)
{
	const struct pd_resp_topic *topic = pd_resp_pubsub_find(&front->pubsub, kind, tenant, channel);
	size_t count = topic != NULL ? topic->count : 0, index = 0;

	if (kind != PD_RESP_CHANNEL)
		return count;
	while ((topic = pd_resp_pubsub_next_match(&front->pubsub, tenant, channel, &index)) != NULL)
		count += topic->count;
	return count;
}

int pd_resp_push_note(struct pd_resp_front *front, enum pd_resp_topic_kind kind, struct pd_slice tenant,
		      struct pd_slice channel, struct pd_slice payload)
{
	struct pd_buffer *noted = &front->pushes.noted;
	struct head head = { .kind = kind,
			     .tenant_size = tenant.size,
			     .channel_size = channel.size,
			     .payload_size = payload.size };
	int result = pd_buffer_reserve(noted, sizeof head + tenant.size + channel.size + payload.size);

	if (result != 0)
		return result;
	PD_ASSERT(pd_buffer_append(noted, &head, sizeof head) == 0);
	PD_ASSERT(pd_buffer_append_slice(noted, tenant) == 0);
	PD_ASSERT(pd_buffer_append_slice(noted, channel) == 0);
	PD_ASSERT(pd_buffer_append_slice(noted, payload) == 0);
	return 0;
}

void pd_resp_push_forget(struct pd_resp_front *front)
{
	struct pd_buffer *noted = &front->pushes.noted;

	if (noted->size == 0)
		return;
	pd_buffer_clear(noted);
	pd_buffer_shrink(noted, KEPT_BYTES);
}

static bool next_message(const struct pd_buffer *noted, size_t *at, struct message *ret_message)
{
	const uint8_t *bytes;
	struct head head;

	if (*at == noted->size)
		return false;
	memcpy(&head, noted->data + *at, sizeof head);
	bytes = noted->data + *at + sizeof head;
	*ret_message = (struct message){ .kind = head.kind,
					 .tenant = pd_slice(bytes, head.tenant_size),
					 .channel = pd_slice(bytes + head.tenant_size, head.channel_size),
					 .payload = pd_slice(bytes + head.tenant_size + head.channel_size,
							     head.payload_size) };
	*at += sizeof head + head.tenant_size + head.channel_size + head.payload_size;
	return true;
}

/* ---- one client ---- */

void pd_resp_push_overrun(struct pd_resp_client *client, const char *why)
{
	struct pd_resp_pushes *pushes = &client->front->pushes;

	if (client->overrun)
		return;
	client->overrun = true;
	client->closing = true;
	pushes->disconnected++;
	(void)snprintf(pushes->notice, sizeof pushes->notice,
		       "client %llu (%s) was closed, as it would have missed messages (%zu KiB unsent): %s",
		       (unsigned long long)client->connection->id, client->connection->peer,
		       pd_resp_client_unsent(client) / 1024, why);
	pd_resp_front_touch(client);
}

static bool is_over_soft_limit(struct pd_resp_client *client, uint64_t now_ns)
{
	const struct pd_resp_pushes *pushes = &client->front->pushes;

	if (pushes->soft_bytes == 0 || pd_resp_client_unsent(client) <= pushes->soft_bytes) {
		client->soft_since_ns = 0;
		return false;
	}
	if (client->soft_since_ns == 0)
		client->soft_since_ns = now_ns;
	return now_ns - client->soft_since_ns >= pushes->soft_seconds * 1000000000u;
}

void pd_resp_push_send(struct pd_resp_client *client, struct pd_slice bytes, const struct pd_wait *wait)
{
	struct pd_resp_front *front = client->front;
	struct pd_buffer *output = &client->connection->output;
	const struct pd_resp_pushes *pushes = &front->pushes;
	size_t size = output->size, waiting = 0;

	if (client->closing)
		return;
	if (client->stream != NULL)
		waiting = client->stream->pushed.size;
	if (pushes->hard_bytes != 0 &&
	    pd_resp_client_unsent(client) + waiting + bytes.size > pushes->hard_bytes) {
		pd_resp_push_overrun(client, "the hard limit of client-output-buffer-limit");
		return;
	}
	if (client->stream != NULL) {
		if (!pd_resp_memory_has_room(client, bytes.size) ||
		    pd_resp_stream_push(client, bytes, wait) != 0)
			pd_resp_push_overrun(client, "there is no more memory for clients");
		pd_resp_memory_count(client);
		return;
	}
	(void)pd_resp_memory_open_output(client);
	if (pd_buffer_append_slice(output, bytes) != 0) {
		pd_resp_push_overrun(client, "there is no more memory for clients");
		return;
	}
	if (pd_resp_hold_add_push(&client->hold, front->engine, client->base + output->size, wait,
				  front->turn) != 0) {
		output->size = size;
		pd_resp_push_overrun(client, "there is no more memory");
		return;
	}
	if (is_over_soft_limit(client, front->clock_ns))
		pd_resp_push_overrun(client, "the soft limit of client-output-buffer-limit");
	pd_resp_memory_count(client);
	pd_resp_front_touch(client);
}

void pd_resp_push_tick(struct pd_resp_front *front, uint64_t now_ns)
{
	for (size_t i = 0; i < front->client_count; i++) {
		struct pd_resp_client *client = front->clients[i];

		if (client->soft_since_ns != 0 && !client->closing && is_over_soft_limit(client, now_ns))
			pd_resp_push_overrun(client, "the soft limit of client-output-buffer-limit");
	}
}

/* ---- delivering ---- */

static int write_frame(struct pd_buffer *frame, int protocol, const struct message *message,
		       const struct pd_resp_topic *topic)
{
	static const char *const words[] = {
		[PD_RESP_CHANNEL] = "message", [PD_RESP_PATTERN] = "pmessage", [PD_RESP_SHARD] = "smessage"
	};
	struct pd_resp_writer writer = { .buffer = frame, .protocol = protocol };

	pd_buffer_clear(frame);
	pd_resp_write_push(&writer, topic->kind == PD_RESP_PATTERN ? 4 : 3);
	pd_resp_write_bulk_string(&writer, words[topic->kind]);
	if (topic->kind == PD_RESP_PATTERN)
		pd_resp_write_bulk(&writer, pd_resp_topic_name(topic));
	pd_resp_write_bulk(&writer, message->channel);
	pd_resp_write_bulk(&writer, message->payload);
	return writer.failed;
}

static void send_to_topic(struct pd_resp_front *front, const struct message *message,
			  const struct pd_resp_topic *topic, const struct pd_wait *wait)
{
	struct pd_buffer *frames = front->pushes.frames;
	int failed[2];

	for (int i = 0; i < 2; i++)
		failed[i] = write_frame(&frames[i], 2 + i, message, topic);
	for (size_t i = 0; i < topic->count; i++) {
		struct pd_resp_client *client = pd_resp_client_of_subscriber(topic->places[i].subscriber);
		int which = client->protocol - 2;

		if (failed[which] == 0)
			pd_resp_push_send(client, pd_buffer_slice(&frames[which]), wait);
		else if (!client->closing)
			pd_resp_push_overrun(client, "there is no memory for a message");
	}
	pd_buffer_shrink(&frames[0], KEPT_BYTES);
	pd_buffer_shrink(&frames[1], KEPT_BYTES);
}

void pd_resp_push_deliver(struct pd_resp_front *front, const struct pd_wait *wait)
{
	const struct pd_resp_pubsub *pubsub = &front->pubsub;
	struct message message;
	size_t at = 0;

	while (next_message(&front->pushes.noted, &at, &message)) {
		const struct pd_resp_topic *topic = pd_resp_pubsub_find(pubsub, message.kind, message.tenant,
									message.channel);
		size_t index = 0;

		if (topic != NULL)
			send_to_topic(front, &message, topic, wait);
		while (message.kind == PD_RESP_CHANNEL &&
		       (topic = pd_resp_pubsub_next_match(pubsub, message.tenant, message.channel, &index)) !=
			       NULL)
			send_to_topic(front, &message, topic, wait);
	}
	pd_resp_push_forget(front);
}
