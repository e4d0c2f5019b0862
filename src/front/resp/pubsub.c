#include "front/resp/pubsub.h"

#include <string.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/memory.h"
#include "model/kv/glob.h"

#define SLOTS_FIRST        64
#define SUBSCRIPTION_BYTES (2 * (sizeof(struct pd_resp_place) + sizeof(struct pd_resp_topic_place)))

void pd_resp_pubsub_init(struct pd_resp_pubsub *pubsub, uint64_t seed)
{
	*pubsub = (struct pd_resp_pubsub){ .seed = seed };
}

void pd_resp_pubsub_done(struct pd_resp_pubsub *pubsub)
{
	PD_ASSERT(pubsub->topic_count == 0 && pubsub->subscriptions == 0);
	pd_free(pubsub->slots);
	pd_free(pubsub->patterns);
	*pubsub = (struct pd_resp_pubsub){ .seed = pubsub->seed };
}

/* ---- topics ---- */

static uint64_t hash_of(const struct pd_resp_pubsub *pubsub, enum pd_resp_topic_kind kind,
			struct pd_slice tenant, struct pd_slice name)
{
	return pd_hash64(name, pd_hash64(tenant, pubsub->seed + (uint64_t)kind));
}

static struct pd_resp_topic *look_up(const struct pd_resp_pubsub *pubsub, uint64_t hash,
				     enum pd_resp_topic_kind kind, struct pd_slice tenant,
				     struct pd_slice name)
{
	struct pd_resp_topic *topic = NULL;

	if (pubsub->slot_count > 0)
		topic = pubsub->slots[hash & (pubsub->slot_count - 1)];
	while (topic != NULL && !(topic->hash == hash && topic->kind == kind &&
				  pd_slice_equal(pd_resp_topic_tenant(topic), tenant) &&
				  pd_slice_equal(pd_resp_topic_name(topic), name)))
		topic = topic->next;
	return topic;
}

struct pd_resp_topic *pd_resp_pubsub_find(const struct pd_resp_pubsub *pubsub, enum pd_resp_topic_kind kind,
					  struct pd_slice tenant, struct pd_slice name)
{
	return look_up(pubsub, hash_of(pubsub, kind, tenant, name), kind, tenant, name);
}

struct pd_resp_topic *pd_resp_pubsub_next_match(const struct pd_resp_pubsub *pubsub, struct pd_slice tenant,
						struct pd_slice channel, size_t *index)
{
	while (*index < pubsub->pattern_count) {
		struct pd_resp_topic *topic = pubsub->patterns[(*index)++];

		if (pd_slice_equal(pd_resp_topic_tenant(topic), tenant) &&
		    pd_glob_match(pd_resp_topic_name(topic), channel))
			return topic;
	}
	return NULL;
}

/* As many slots as topics, or half as many. */
static int grow_slots(struct pd_resp_pubsub *pubsub)
{
	size_t count = pubsub->slot_count == 0 ? SLOTS_FIRST : pubsub->slot_count * 2;
	struct pd_resp_topic **slots;

	if (pubsub->topic_count < pubsub->slot_count)
		return 0;
	slots = pd_calloc(count, sizeof(struct pd_resp_topic *));
	if (slots == NULL)
		return PD_NO_MEMORY;
	for (size_t i = 0; i < pubsub->slot_count; i++) {
		struct pd_resp_topic *next;

		for (struct pd_resp_topic *topic = pubsub->slots[i]; topic != NULL; topic = next) {
			struct pd_resp_topic **slot = slots + (topic->hash & (count - 1));

			next = topic->next;
			topic->next = *slot;
			*slot = topic;
		}
	}
	pd_free(pubsub->slots);
	pubsub->slots = slots;
	pubsub->slot_count = count;
	return 0;
}

static int note_pattern(struct pd_resp_pubsub *pubsub, struct pd_resp_topic *topic)
{
	struct pd_resp_topic **patterns;

	if (topic->kind != PD_RESP_PATTERN)
		return 0;
	patterns = pd_grow(pubsub->patterns, pubsub->pattern_count, &pubsub->pattern_capacity,
			   sizeof(struct pd_resp_topic *), 8);
	if (patterns == NULL)
		return PD_NO_MEMORY;
	pubsub->patterns = patterns;
	topic->pattern_index = pubsub->pattern_count;
	patterns[pubsub->pattern_count++] = topic;
	return 0;
}

/* NULL: no memory. */
static struct pd_resp_topic *add_topic(struct pd_resp_pubsub *pubsub, enum pd_resp_topic_kind kind,
				       struct pd_slice tenant, struct pd_slice name)
{
	struct pd_resp_topic *topic, **slot;

	if (grow_slots(pubsub) != 0)
		return NULL;
	topic = pd_calloc(1, sizeof *topic + tenant.size + name.size);
	if (topic == NULL)
		return NULL;
	topic->hash = hash_of(pubsub, kind, tenant, name);
	topic->kind = kind;
	topic->tenant_size = tenant.size;
	topic->name_size = name.size;
	if (tenant.size > 0)
		memcpy(topic->bytes, tenant.data, tenant.size);
	if (name.size > 0)
		memcpy(topic->bytes + tenant.size, name.data, name.size);
	if (note_pattern(pubsub, topic) != 0) {
		pd_free(topic);
		return NULL;
	}
	slot = pubsub->slots + (topic->hash & (pubsub->slot_count - 1));
	topic->next = *slot;
	*slot = topic;
	pubsub->topic_count++;
	return topic;
}

static void remove_topic(struct pd_resp_pubsub *pubsub, struct pd_resp_topic *topic)
{
	struct pd_resp_topic **link = pubsub->slots + (topic->hash & (pubsub->slot_count - 1));

	while (*link != topic)
		link = &(*link)->next;
	*link = topic->next;
	if (topic->kind == PD_RESP_PATTERN) {
		struct pd_resp_topic *last = pubsub->patterns[--pubsub->pattern_count];

		pubsub->patterns[topic->pattern_index] = last;
		last->pattern_index = topic->pattern_index;
	}
	pubsub->topic_count--;
	pd_free(topic->places);
	pd_free(topic);
}

/* ---- subscriptions ---- */

/* Where the topic stands with the subscriber: the shorter of the two lists is gone through. SIZE_MAX: it does not. */
static size_t index_of(const struct pd_resp_subscriber *subscriber, const struct pd_resp_topic *topic)
{
	size_t count = subscriber->topics[topic->kind].count;

	if (count < topic->count) {
		for (size_t i = 0; i < count; i++)
			if (subscriber->topics[topic->kind].items[i].topic == topic)
				return i;
		return SIZE_MAX;
	}
	for (size_t i = 0; i < topic->count; i++)
		if (topic->places[i].subscriber == subscriber)
			return topic->places[i].index;
	return SIZE_MAX;
}

static int join(struct pd_resp_pubsub *pubsub, struct pd_resp_subscriber *subscriber,
		struct pd_resp_topic *topic)
{
	struct pd_resp_topic_place *items;
	struct pd_resp_place *places;
	size_t count = subscriber->topics[topic->kind].count;

	items = pd_grow(subscriber->topics[topic->kind].items, count,
			&subscriber->topics[topic->kind].capacity, sizeof *items, 4);
	if (items == NULL)
		return PD_NO_MEMORY;
	subscriber->topics[topic->kind].items = items;
	places = pd_grow(topic->places, topic->count, &topic->capacity, sizeof *places, 1);
	if (places == NULL)
		return PD_NO_MEMORY;
	topic->places = places;
	items[count] = (struct pd_resp_topic_place){ .topic = topic, .index = topic->count };
	places[topic->count++] = (struct pd_resp_place){ .subscriber = subscriber, .index = count };
	subscriber->topics[topic->kind].count++;
	subscriber->bytes += SUBSCRIPTION_BYTES + sizeof *topic + topic->tenant_size + topic->name_size;
	pubsub->subscriptions++;
	return 0;
}

int pd_resp_pubsub_subscribe(struct pd_resp_pubsub *pubsub, struct pd_resp_subscriber *subscriber,
			     enum pd_resp_topic_kind kind, struct pd_slice tenant, struct pd_slice name)
{
	bool pattern = kind == PD_RESP_PATTERN;
	struct pd_resp_topic *topic;
	int result;

	if (name.size > (pattern ? PD_RESP_PATTERN_SIZE_MAX : PD_RESP_CHANNEL_SIZE_MAX))
		return PD_TOO_LARGE;
	topic = pd_resp_pubsub_find(pubsub, kind, tenant, name);
	if (topic != NULL && index_of(subscriber, topic) != SIZE_MAX)
		return PD_EXISTS;
	if (subscriber->topics[kind].count >= (pattern ? PD_RESP_PATTERNS_MAX : PD_RESP_CHANNELS_MAX))
		return PD_TOO_LARGE;
	if (topic == NULL)
		topic = add_topic(pubsub, kind, tenant, name);
	if (topic == NULL)
		return PD_NO_MEMORY;
	result = join(pubsub, subscriber, topic);
	if (result != 0 && topic->count == 0)
		remove_topic(pubsub, topic);
	return result;
}

/* The last of either list takes the place of the one that goes. */
static void leave(struct pd_resp_pubsub *pubsub, struct pd_resp_subscriber *subscriber,
		  enum pd_resp_topic_kind kind, size_t index)
{
	struct pd_resp_topic_place *items = subscriber->topics[kind].items;
	struct pd_resp_topic *topic = items[index].topic;
	size_t place = items[index].index, last = --subscriber->topics[kind].count;

	items[index] = items[last];
	items[index].topic->places[items[index].index].index = index;
	topic->places[place] = topic->places[--topic->count];
	if (place < topic->count) {
		const struct pd_resp_place *moved = topic->places + place;

		moved->subscriber->topics[kind].items[moved->index].index = place;
	}
	subscriber->bytes -= SUBSCRIPTION_BYTES + sizeof *topic + topic->tenant_size + topic->name_size;
	pubsub->subscriptions--;
	if (topic->count == 0)
		remove_topic(pubsub, topic);
}

int pd_resp_pubsub_unsubscribe(struct pd_resp_pubsub *pubsub, struct pd_resp_subscriber *subscriber,
			       enum pd_resp_topic_kind kind, struct pd_slice tenant, struct pd_slice name)
{
	const struct pd_resp_topic *topic = pd_resp_pubsub_find(pubsub, kind, tenant, name);
	size_t index = topic == NULL ? SIZE_MAX : index_of(subscriber, topic);

	if (index == SIZE_MAX)
		return PD_NOT_FOUND;
	leave(pubsub, subscriber, kind, index);
	return 0;
}

void pd_resp_pubsub_leave_last(struct pd_resp_pubsub *pubsub, struct pd_resp_subscriber *subscriber,
			       enum pd_resp_topic_kind kind)
{
	PD_ASSERT(subscriber->topics[kind].count > 0);
	leave(pubsub, subscriber, kind, subscriber->topics[kind].count - 1);
}

void pd_resp_pubsub_leave_all(struct pd_resp_pubsub *pubsub, struct pd_resp_subscriber *subscriber)
{
	for (size_t kind = 0; kind < PD_RESP_TOPIC_KINDS; kind++) {
		while (subscriber->topics[kind].count > 0)
			pd_resp_pubsub_leave_last(pubsub, subscriber, (enum pd_resp_topic_kind)kind);
		pd_free(subscriber->topics[kind].items);
	}
	PD_ASSERT(subscriber->bytes == 0);
	*subscriber = (struct pd_resp_subscriber){ 0 };
}
