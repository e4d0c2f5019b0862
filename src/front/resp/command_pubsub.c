/* SUBSCRIBE, PUBLISH, PUBSUB and their kind. There is one shard, so shard channels are channels with a name space of their own. */
#include "base/assert.h"
#include "front/resp/front_private.h"
#include "model/kv/glob.h"

static const struct {
	const char *subscribe, *unsubscribe; /* as messages say it */
	const char *noun;
	size_t name_max, count_max;
} kinds[] = {
	[PD_RESP_CHANNEL] = { "subscribe", "unsubscribe", "channel", PD_RESP_CHANNEL_SIZE_MAX,
			      PD_RESP_CHANNELS_MAX },
	[PD_RESP_PATTERN] = { "psubscribe", "punsubscribe", "pattern", PD_RESP_PATTERN_SIZE_MAX,
			      PD_RESP_PATTERNS_MAX },
	[PD_RESP_SHARD] = { "ssubscribe", "sunsubscribe", "channel", PD_RESP_CHANNEL_SIZE_MAX,
			    PD_RESP_CHANNELS_MAX },
};

/* ---- SUBSCRIBE and UNSUBSCRIBE ---- */

/* What a message about this kind counts. */
static size_t count_of(const struct pd_resp_subscriber *subscriber, enum pd_resp_topic_kind kind)
{
	return kind == PD_RESP_SHARD ? subscriber->topics[PD_RESP_SHARD].count
				     : pd_resp_subscriber_count(subscriber);
}

/* One change is one message. name NULL: there was nothing to leave. */
static void write_change(struct pd_resp_call *call, const char *word, const struct pd_slice *name,
			 size_t count)
{
	pd_resp_write_push(call->reply, 3);
	pd_resp_write_bulk_string(call->reply, word);
	if (name == NULL)
		pd_resp_write_null(call->reply);
	else
		pd_resp_write_bulk(call->reply, *name);
	pd_resp_write_integer(call->reply, (int64_t)count);
}

/* The tenant of what the client has subscribed to; false: it has not. */
static bool subscribed_tenant(const struct pd_resp_subscriber *subscriber, struct pd_slice *ret_tenant)
{
	for (size_t kind = 0; kind < PD_RESP_TOPIC_KINDS; kind++)
		if (subscriber->topics[kind].count > 0) {
			*ret_tenant = pd_resp_topic_tenant(subscriber->topics[kind].items[0].topic);
			return true;
		}
	return false;
}

static int subscribe_one(struct pd_resp_call *call, enum pd_resp_topic_kind kind, struct pd_slice tenant,
			 struct pd_slice name)
{
	struct pd_resp_client *client = call->client;
	int result = PD_NO_MEMORY;

	if (pd_resp_memory_has_room(client, name.size + sizeof(struct pd_resp_topic)))
		result = pd_resp_pubsub_subscribe(&client->front->pubsub, &client->subscriber, kind, tenant,
						  name);
	if (result == 0 || result == PD_EXISTS) {
		write_change(call, kinds[kind].subscribe, &name, count_of(&client->subscriber, kind));
		return 0;
	}
	if (result == PD_TOO_LARGE)
		pd_resp_write_errorf(call->reply,
				     "ERR a %s may have %zu bytes, and a client may subscribe to %zu of them",
				     kinds[kind].noun, kinds[kind].name_max, kinds[kind].count_max);
	else
		pd_resp_write_error(call->reply,
				    "OOM there is no memory for another subscription: subscribe to less");
	return result;
}

static void subscribe(struct pd_resp_call *call, enum pd_resp_topic_kind kind)
{
	struct pd_resp_client *client = call->client;
	struct pd_slice tenant = pd_resp_client_tenant(client), other;

	call->is_push = true;
	if (subscribed_tenant(&client->subscriber, &other) && !pd_slice_equal(tenant, other)) {
		pd_resp_write_error(call->reply, "ERR this connection has subscribed to channels of another "
						 "tenant: UNSUBSCRIBE, PUNSUBSCRIBE and SUNSUBSCRIBE first");
		return;
	}
	for (size_t i = 1; i < call->count; i++) {
		if (subscribe_one(call, kind, tenant, call->words[i]) != 0)
			break;
		pd_resp_memory_count(client);
	}
	pd_resp_keyspace_listen(client->front);
}

static void unsubscribe_all(struct pd_resp_call *call, enum pd_resp_topic_kind kind)
{
	struct pd_resp_client *client = call->client;
	struct pd_resp_subscriber *subscriber = &client->subscriber;
	const char *word = kinds[kind].unsubscribe;

	if (subscriber->topics[kind].count == 0)
		write_change(call, word, NULL, count_of(subscriber, kind));
	while (subscriber->topics[kind].count > 0) {
		size_t last = subscriber->topics[kind].count - 1;
		/* Told before it is done: the name goes with its topic. */
		struct pd_slice name = pd_resp_topic_name(subscriber->topics[kind].items[last].topic);

		write_change(call, word, &name, count_of(subscriber, kind) - 1);
		pd_resp_pubsub_leave_last(&client->front->pubsub, subscriber, kind);
	}
	pd_resp_memory_count(client);
	pd_resp_keyspace_listen(client->front);
}

static void unsubscribe(struct pd_resp_call *call, enum pd_resp_topic_kind kind)
{
	struct pd_resp_client *client = call->client;
	struct pd_resp_subscriber *subscriber = &client->subscriber;
	uint8_t tenant_bytes[PD_NAME_SIZE_MAX];
	struct pd_slice tenant = { 0 };

	call->is_push = true;
	if (call->count == 1) {
		unsubscribe_all(call, kind);
		return;
	}
	/* It lies in a topic, which may go. */
	if (subscribed_tenant(subscriber, &tenant)) {
		PD_ASSERT(tenant.size <= sizeof tenant_bytes);
		memcpy(tenant_bytes, tenant.data, tenant.size);
		tenant.data = tenant_bytes;
	}
	for (size_t i = 1; i < call->count; i++) {
		/* To leave what one is not in is told like the rest, and is no error. */
		(void)!pd_resp_pubsub_unsubscribe(&client->front->pubsub, subscriber, kind, tenant,
						  call->words[i]);
		write_change(call, kinds[kind].unsubscribe, call->words + i, count_of(subscriber, kind));
	}
	pd_resp_memory_count(client);
	pd_resp_keyspace_listen(client->front);
}

static void answer_subscribe(struct pd_resp_call *call)
{
	subscribe(call, PD_RESP_CHANNEL);
}

static void answer_psubscribe(struct pd_resp_call *call)
{
	subscribe(call, PD_RESP_PATTERN);
}

static void answer_ssubscribe(struct pd_resp_call *call)
{
	subscribe(call, PD_RESP_SHARD);
}

static void answer_unsubscribe(struct pd_resp_call *call)
{
	unsubscribe(call, PD_RESP_CHANNEL);
}

static void answer_punsubscribe(struct pd_resp_call *call)
{
	unsubscribe(call, PD_RESP_PATTERN);
}

static void answer_sunsubscribe(struct pd_resp_call *call)
{
	unsubscribe(call, PD_RESP_SHARD);
}

/* ---- PUBLISH ---- */

static void publish(struct pd_resp_call *call, enum pd_resp_topic_kind kind)
{
	struct pd_resp_front *front = call->client->front;
	struct pd_slice tenant = pd_resp_client_tenant(call->client);
	size_t audience = pd_resp_push_audience(front, kind, tenant, call->words[1]);

	/* Of a transaction: in the order in which things happen. */
	pd_resp_keyspace_collect(front);
	if (audience > 0 &&
	    (!pd_resp_memory_has_room(call->client, front->pushes.noted.size + call->words[2].size) ||
	     pd_resp_push_note(front, kind, tenant, call->words[1], call->words[2]) != 0)) {
		pd_resp_write_error(call->reply, "OOM there is no memory for the message");
		return;
	}
	pd_resp_write_integer(call->reply, (int64_t)audience);
	/* What was written before it may be what it is about. */
	call->wait_storage = pd_engine_wait_now(front->engine);
	call->wait = &call->wait_storage;
}

static void answer_publish(struct pd_resp_call *call)
{
	publish(call, PD_RESP_CHANNEL);
}

static void answer_spublish(struct pd_resp_call *call)
{
	publish(call, PD_RESP_SHARD);
}

/* ---- PUBSUB ---- */

static bool is_listed(const struct pd_resp_call *call, const struct pd_resp_topic *topic,
		      enum pd_resp_topic_kind kind, struct pd_slice tenant)
{
	return topic->kind == kind && pd_slice_equal(pd_resp_topic_tenant(topic), tenant) &&
	       (call->count < 3 || pd_glob_match(call->words[2], pd_resp_topic_name(topic)));
}

static void list_channels(struct pd_resp_call *call, enum pd_resp_topic_kind kind)
{
	const struct pd_resp_pubsub *pubsub = &call->client->front->pubsub;
	struct pd_slice tenant = pd_resp_client_tenant(call->client);
	size_t count = 0;

	if (call->count > 3) {
		pd_resp_write_subcommand_error(call);
		return;
	}
	for (size_t i = 0; i < pubsub->slot_count; i++)
		for (const struct pd_resp_topic *topic = pubsub->slots[i]; topic != NULL; topic = topic->next)
			count += is_listed(call, topic, kind, tenant);
	pd_resp_write_array(call->reply, count);
	for (size_t i = 0; i < pubsub->slot_count; i++)
		for (const struct pd_resp_topic *topic = pubsub->slots[i]; topic != NULL; topic = topic->next)
			if (is_listed(call, topic, kind, tenant))
				pd_resp_write_bulk(call->reply, pd_resp_topic_name(topic));
}

static void count_subscribers(struct pd_resp_call *call, enum pd_resp_topic_kind kind)
{
	const struct pd_resp_pubsub *pubsub = &call->client->front->pubsub;
	struct pd_slice tenant = pd_resp_client_tenant(call->client);

	/* Names and numbers: an array in RESP3, too, as Redis has it. */
	pd_resp_write_array(call->reply, (call->count - 2) * 2);
	for (size_t i = 2; i < call->count; i++) {
		const struct pd_resp_topic *topic = pd_resp_pubsub_find(pubsub, kind, tenant, call->words[i]);

		pd_resp_write_bulk(call->reply, call->words[i]);
		pd_resp_write_integer(call->reply, topic != NULL ? (int64_t)topic->count : 0);
	}
}

static void answer_channels(struct pd_resp_call *call)
{
	list_channels(call, PD_RESP_CHANNEL);
}

static void answer_shardchannels(struct pd_resp_call *call)
{
	list_channels(call, PD_RESP_SHARD);
}

static void answer_numsub(struct pd_resp_call *call)
{
	count_subscribers(call, PD_RESP_CHANNEL);
}

static void answer_shardnumsub(struct pd_resp_call *call)
{
	count_subscribers(call, PD_RESP_SHARD);
}

static void answer_numpat(struct pd_resp_call *call)
{
	const struct pd_resp_pubsub *pubsub = &call->client->front->pubsub;
	struct pd_slice tenant = pd_resp_client_tenant(call->client);
	int64_t count = 0;

	for (size_t i = 0; i < pubsub->pattern_count; i++)
		count += pd_slice_equal(pd_resp_topic_tenant(pubsub->patterns[i]), tenant);
	pd_resp_write_integer(call->reply, count);
}

static void answer_help(struct pd_resp_call *call)
{
	static const char *const lines[] = {
		"CHANNELS [<pattern>]",
		"    Return the channels of this tenant that somebody has subscribed to and that match "
		"<pattern> "
		"(default: '*').",
		"NUMPAT",
		"    Return how many patterns somebody has subscribed to.",
		"NUMSUB [<channel> ...]",
		"    Return how many have subscribed to each channel, those with patterns left out.",
		"SHARDCHANNELS [<pattern>]",
		"    Return the shard channels that somebody has subscribed to and that match <pattern> "
		"(default: '*').",
		"SHARDNUMSUB [<shardchannel> ...]",
		"    Return how many have subscribed to each shard channel.",
	};

	pd_resp_write_help(call->reply, "PUBSUB", lines, sizeof lines / sizeof *lines);
}

#define FLAGS     (PD_COMMAND_CONNECTION | PD_COMMAND_LOADING | PD_COMMAND_PUBSUB)
#define SUBSCRIBE (FLAGS | PD_COMMAND_NO_MULTI | PD_COMMAND_SUBSCRIBED)
#define PUBLISH   (FLAGS | PD_COMMAND_FAST)
#define ROW(name, arity, flags, first, last, since, summary, complexity, answer)  \
	{                                                                         \
		{ name,     arity, flags,   first,      last, first != 0 ? 1 : 0, \
		  "pubsub", since, summary, complexity, NULL },                   \
			answer, false                                             \
	}

static const struct pd_resp_command commands[] = {
	ROW("psubscribe", -2, SUBSCRIBE, 0, 0, "2.0.0",
	    "Listens for messages of the channels that match patterns.",
	    "O(N), N the number of patterns named.", answer_psubscribe),
	ROW("publish", 3, PUBLISH, 0, 0, "2.0.0",
	    "Sends a message to those who have subscribed to a channel; in MULTI when EXEC has settled.",
	    "O(N+M), N the number of receivers, M the number of patterns.", answer_publish),
	ROW("pubsub|channels", -2, FLAGS, 0, 0, "2.8.0",
	    "Lists the channels that somebody has subscribed to.", "O(N), N the number of channels.",
	    answer_channels),
	ROW("pubsub|help", 2, FLAGS & ~(unsigned)PD_COMMAND_PUBSUB, 0, 0, "6.2.0",
	    "Returns helpful text about the different subcommands.", "O(1)", answer_help),
	ROW("pubsub|numpat", 2, FLAGS, 0, 0, "2.8.0", "Counts the patterns that somebody has subscribed to.",
	    "O(N), N the number of patterns.", answer_numpat),
	ROW("pubsub|numsub", -2, FLAGS, 0, 0, "2.8.0", "Counts who has subscribed to channels.",
	    "O(N), N the number of channels named.", answer_numsub),
	ROW("pubsub|shardchannels", -2, FLAGS, 0, 0, "7.0.0",
	    "Lists the shard channels that somebody has subscribed to.", "O(N), N the number of channels.",
	    answer_shardchannels),
	ROW("pubsub|shardnumsub", -2, FLAGS, 0, 0, "7.0.0", "Counts who has subscribed to shard channels.",
	    "O(N), N the number of channels named.", answer_shardnumsub),
	ROW("punsubscribe", -1, SUBSCRIBE, 0, 0, "2.0.0",
	    "Stops listening for messages of the channels that match patterns.",
	    "O(N), N the number of patterns named, or subscribed to.", answer_punsubscribe),
	ROW("spublish", 3, PUBLISH, 1, 1, "7.0.0",
	    "Sends a message to those who have subscribed to a shard channel.",
	    "O(N), N the number of receivers.", answer_spublish),
	ROW("ssubscribe", -2, SUBSCRIBE, 1, -1, "7.0.0", "Listens for messages of shard channels.",
	    "O(N), N the number of channels named.", answer_ssubscribe),
	ROW("subscribe", -2, SUBSCRIBE, 0, 0, "2.0.0", "Listens for messages of channels.",
	    "O(N), N the number of channels named.", answer_subscribe),
	ROW("sunsubscribe", -1, SUBSCRIBE, 1, -1, "7.0.0", "Stops listening for messages of shard channels.",
	    "O(N), N the number of channels named, or subscribed to.", answer_sunsubscribe),
	ROW("unsubscribe", -1, SUBSCRIBE, 0, 0, "2.0.0", "Stops listening for messages of channels.",
	    "O(N), N the number of channels named, or subscribed to.", answer_unsubscribe),
};

const struct pd_resp_commands pd_resp_commands_pubsub = { commands, sizeof commands / sizeof *commands };
