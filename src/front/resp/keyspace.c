#include "front/resp/keyspace.h"

#include <string.h>

#include "front/resp/front_private.h"
#include "model/kv/glob.h"

#define KEYSPACE "__keyspace@0__:"
#define KEYEVENT "__keyevent@0__:"

/* One bit a letter: it is remembered as it was set, also where nothing here tells such events yet. */
static const struct {
	char letter;
	bool in_all; /* "A" means it, too */
	unsigned class;
} letters[] = {
	{ 'g', true, PD_EVENT_GENERIC },
	{ '$', true, PD_EVENT_STRING },
	{ 'l', true, 0 },
	{ 's', true, 0 },
	{ 'h', true, PD_EVENT_HASH },
	{ 'z', true, 0 },
	{ 'x', true, PD_EVENT_EXPIRED },
	{ 'e', true, 0 },
	{ 't', true, 0 },
	{ 'd', true, 0 },
	{ 'n', false, PD_EVENT_NEW },
	{ 'K', false, 0 },
	{ 'E', false, 0 },
	{ 'm', false, PD_EVENT_MISSED },
};
#define LETTER_COUNT (sizeof letters / sizeof *letters)

static unsigned bits_of(char letter)
{
	unsigned bits = 0;

	for (size_t i = 0; i < LETTER_COUNT; i++)
		if (letters[i].letter == letter || (letter == 'A' && letters[i].in_all))
			bits |= 1u << i;
	return bits;
}

int pd_resp_keyspace_set(struct pd_resp_front *front, struct pd_slice text, struct pd_error *err)
{
	unsigned bits = 0;

	for (size_t i = 0; i < text.size; i++) {
		unsigned more = bits_of((char)text.data[i]);

		if (more == 0)
			return pd_error_set(err, PD_INVALID,
					    "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
		bits |= more;
	}
	front->notify = bits;
	pd_resp_keyspace_listen(front);
	return 0;
}

void pd_resp_keyspace_text(const struct pd_resp_front *front, char text[PD_RESP_NOTIFY_TEXT_SIZE])
{
	bool all = (front->notify & bits_of('A')) == bits_of('A');
	size_t size = 0;

	_Static_assert(LETTER_COUNT + 2 <= PD_RESP_NOTIFY_TEXT_SIZE, "each letter, an A and a NUL");
	if (all)
		text[size++] = 'A';
	for (size_t i = 0; i < LETTER_COUNT; i++)
		if ((front->notify & (1u << i)) != 0 && !(all && letters[i].in_all))
			text[size++] = letters[i].letter;
	text[size] = '\0';
}

void pd_resp_keyspace_listen(struct pd_resp_front *front)
{
	unsigned classes = 0;

	if (front->pubsub.subscriptions > 0 && (front->notify & (bits_of('K') | bits_of('E'))) != 0)
		for (size_t i = 0; i < LETTER_COUNT; i++)
			if ((front->notify & (1u << i)) != 0)
				classes |= letters[i].class;
	if (classes == front->listening)
		return;
	front->listening = classes;
	pd_engine_listen(front->engine, classes);
}

/* ---- events as messages ---- */

/* The key as a connection that sees the whole tenant writes it, behind what is there. */
static int append_key(struct pd_buffer *text, const struct pd_event *event)
{
	int result = 0;

	if (!pd_slice_equal(event->actor, pd_slice_string("main"))) {
		result = pd_buffer_append(text, "{", 1);
		if (result == 0)
			result = pd_buffer_append_slice(text, event->actor);
		if (result == 0)
			result = pd_buffer_append(text, "}", 1);
	}
	return result != 0 ? result : pd_buffer_append_slice(text, event->key);
}

static int note(struct pd_resp_front *front, struct pd_slice tenant, struct pd_slice channel,
		struct pd_slice payload)
{
	if (pd_resp_push_audience(front, PD_RESP_CHANNEL, tenant, channel) == 0)
		return 0;
	return pd_resp_push_note(front, PD_RESP_CHANNEL, tenant, channel, payload);
}

static int note_event(struct pd_resp_front *front, const struct pd_event *event)
{
	struct pd_buffer *text = &front->keyspace_text;
	size_t prefix = sizeof KEYSPACE - 1;
	struct pd_slice key;
	int result;

	pd_buffer_clear(text);
	result = pd_buffer_append(text, KEYSPACE, prefix);
	if (result == 0)
		result = append_key(text, event);
	if (result == 0 && (front->notify & bits_of('K')) != 0)
		result = note(front, event->tenant, pd_buffer_slice(text), pd_slice_string(event->name));
	if (result != 0 || (front->notify & bits_of('E')) == 0)
		return result;
	/* The key stays where it is: the channel is put behind it. */
	key.size = text->size - prefix;
	result = pd_buffer_printf(text, KEYEVENT "%s", event->name);
	if (result != 0)
		return result;
	key.data = text->data + prefix;
	return note(front, event->tenant,
		    pd_slice(text->data + prefix + key.size, text->size - prefix - key.size), key);
}

/* Can it be that messages of keys go there? */
static bool hears_of_keys(const struct pd_resp_topic *topic)
{
	struct pd_slice begins = pd_slice_string("__key"), name = pd_resp_topic_name(topic);

	if (topic->kind == PD_RESP_PATTERN)
		name = pd_glob_prefix(name);
	return topic->kind != PD_RESP_SHARD &&
	       (pd_slice_starts_with(name, begins) ||
		(topic->kind == PD_RESP_PATTERN && pd_slice_starts_with(begins, name)));
}

/* Not all could be kept. Whoever may have missed some must know. */
static void disconnect_listeners(struct pd_resp_front *front)
{
	for (size_t i = 0; i < front->client_count; i++) {
		struct pd_resp_client *client = front->clients[i];
		bool hears = false;

		for (size_t kind = 0; kind < PD_RESP_TOPIC_KINDS; kind++)
			for (size_t t = 0; t < client->subscriber.topics[kind].count && !hears; t++)
				hears = hears_of_keys(client->subscriber.topics[kind].items[t].topic);
		if (hears)
			pd_resp_push_overrun(client, "more happened to keys at once than can be kept");
	}
}

void pd_resp_keyspace_collect(struct pd_resp_front *front)
{
	struct pd_event event;
	bool lost = false;
	size_t at = 0;

	if (front->listening == 0)
		return;
	while (pd_engine_next_event(front->engine, &at, &event))
		lost |= note_event(front, &event) != 0;
	lost |= pd_engine_clear_events(front->engine);
	pd_buffer_shrink(&front->keyspace_text, 4096);
	if (lost)
		disconnect_listeners(front);
}

void pd_resp_keyspace_deliver(struct pd_resp_front *front)
{
	struct pd_wait wait;

	if (front->listening == 0)
		return;
	pd_resp_keyspace_collect(front);
	if (front->pushes.noted.size == 0)
		return;
	wait = pd_engine_wait_now(front->engine);
	pd_resp_push_deliver(front, &wait);
	pd_resp_front_flush(front);
}
