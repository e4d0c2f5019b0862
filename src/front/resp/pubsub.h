/* Who has subscribed to what.
 *
 *   topic "news" of tenant "default"  places: | a, 0 | b, 2 |         each names the subscriber, and where the topic stands
 *                                                                     with it
 *   subscriber a                      topics: | "news", 0 |           each names the topic, and where the subscriber stands
 *   subscriber b                      topics: | … | … | "news", 1 |   with it
 *
 * So both sides are left without a search. A topic is a channel, a shard channel or a pattern, and lives as long as somebody
 * has subscribed to it. A pattern is one topic, however many have subscribed to it, and is compared once a message.
 *
 * No sockets, no messages: see push.h. */
#ifndef PD_FRONT_RESP_PUBSUB_H
#define PD_FRONT_RESP_PUBSUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/slice.h"

/* What one client may subscribe to. A message is compared with every pattern of its tenant: there may be fewer, and shorter
 * ones, than channels. */
#define PD_RESP_CHANNELS_MAX     65536u
#define PD_RESP_CHANNEL_SIZE_MAX 65536u
#define PD_RESP_PATTERNS_MAX     1024u
#define PD_RESP_PATTERN_SIZE_MAX 1024u

enum pd_resp_topic_kind {
	PD_RESP_CHANNEL,
	PD_RESP_PATTERN,
	PD_RESP_SHARD, /* SSUBSCRIBE: there is one shard */
	PD_RESP_TOPIC_KINDS,
};

struct pd_resp_topic;
struct pd_resp_subscriber;

struct pd_resp_place {
	struct pd_resp_subscriber *subscriber;
	size_t index; /* in the subscriber's topics */
};

struct pd_resp_topic {
	struct pd_resp_topic *next; /* in its slot */
	uint64_t hash;
	enum pd_resp_topic_kind kind;
	struct pd_resp_place *places;
	size_t count, capacity;
	size_t pattern_index; /* of a pattern: in pubsub->patterns */
	size_t tenant_size, name_size;
	uint8_t bytes[]; /* tenant, name */
};

struct pd_resp_topic_place {
	struct pd_resp_topic *topic;
	size_t index; /* in the topic's places */
};

/* All of one client's. Zeroed: none. */
struct pd_resp_subscriber {
	struct {
		struct pd_resp_topic_place *items;
		size_t count, capacity;
	} topics[PD_RESP_TOPIC_KINDS];
	size_t bytes; /* about: what all of this takes */
};

struct pd_resp_pubsub {
	struct pd_resp_topic **slots;
	size_t slot_count;
	size_t topic_count;
	struct pd_resp_topic **patterns;
	size_t pattern_count, pattern_capacity;
	size_t subscriptions; /* of all subscribers */
	uint64_t seed;
};

void pd_resp_pubsub_init(struct pd_resp_pubsub *pubsub, uint64_t seed);
/* Nobody is subscribed any more. */
void pd_resp_pubsub_done(struct pd_resp_pubsub *pubsub);

/* 0; PD_EXISTS: it was already, which is no error; PD_TOO_LARGE: the name is too long, or there are too many; PD_NO_MEMORY. */
PD_MUST_CHECK int pd_resp_pubsub_subscribe(struct pd_resp_pubsub *pubsub,
					   struct pd_resp_subscriber *subscriber,
					   enum pd_resp_topic_kind kind, struct pd_slice tenant,
					   struct pd_slice name);
/* PD_NOT_FOUND: it was not. */
PD_MUST_CHECK int pd_resp_pubsub_unsubscribe(struct pd_resp_pubsub *pubsub,
					     struct pd_resp_subscriber *subscriber,
					     enum pd_resp_topic_kind kind, struct pd_slice tenant,
					     struct pd_slice name);
/* The subscriber leaves the last of its topics of this kind. */
void pd_resp_pubsub_leave_last(struct pd_resp_pubsub *pubsub, struct pd_resp_subscriber *subscriber,
			       enum pd_resp_topic_kind kind);
/* It leaves all, and its memory is freed. */
void pd_resp_pubsub_leave_all(struct pd_resp_pubsub *pubsub, struct pd_resp_subscriber *subscriber);

/* NULL: nobody has subscribed to it. */
struct pd_resp_topic *pd_resp_pubsub_find(const struct pd_resp_pubsub *pubsub, enum pd_resp_topic_kind kind,
					  struct pd_slice tenant, struct pd_slice name);
/* The next pattern of the tenant that matches, from *index on, which begins with 0. NULL: no more. */
struct pd_resp_topic *pd_resp_pubsub_next_match(const struct pd_resp_pubsub *pubsub, struct pd_slice tenant,
						struct pd_slice channel, size_t *index);

static inline struct pd_slice pd_resp_topic_tenant(const struct pd_resp_topic *topic)
{
	return pd_slice(topic->bytes, topic->tenant_size);
}
static inline struct pd_slice pd_resp_topic_name(const struct pd_resp_topic *topic)
{
	return pd_slice(topic->bytes + topic->tenant_size, topic->name_size);
}
/* Channels and patterns: what a message of SUBSCRIBE counts. Shard channels are counted alone. */
static inline size_t pd_resp_subscriber_count(const struct pd_resp_subscriber *subscriber)
{
	return subscriber->topics[PD_RESP_CHANNEL].count + subscriber->topics[PD_RESP_PATTERN].count;
}
static inline bool pd_resp_subscriber_has_any(const struct pd_resp_subscriber *subscriber)
{
	return pd_resp_subscriber_count(subscriber) + subscriber->topics[PD_RESP_SHARD].count > 0;
}

#endif
