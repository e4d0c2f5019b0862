/* What happens to keys, told by the models for those who listen. Events lie in one buffer until the host fetches them, which it
 * does after each request and each step. */
#include <string.h>

#include "base/assert.h"
#include "engine/engine_private.h"

#define KEPT_BYTES (64u * 1024)

/* How an event lies in the buffer, before its names. */
struct head {
	const char *name;
	enum pd_event_class class;
	size_t tenant_size, actor_size, key_size;
};

void pd_engine_listen(struct pd_engine *engine, unsigned classes)
{
	engine->listening = classes;
}

static struct pd_slice tenant_of(const struct pd_txn *txn, const struct pd_key *key)
{
	if (key->actor != NULL)
		return pd_slice(key->actor->tenant->name, key->actor->tenant->name_size);
	return pd_session_tenant(txn->session);
}

void pd_txn_tell(struct pd_txn *txn, enum pd_event_class class, const char *event, const struct pd_key *key)
{
	struct pd_engine *engine = txn->engine;
	struct pd_buffer *events = &engine->events;
	struct pd_slice tenant, actor;
	struct head head;

	if ((engine->listening & class) == 0 || (key->actor == NULL && txn->session == NULL))
		return;
	tenant = tenant_of(txn, key);
	actor = key->actor != NULL ? pd_actor_name(key->actor) : key->actor_name;
	head = (struct head){ .name = event,
			      .class = class,
			      .tenant_size = tenant.size,
			      .actor_size = actor.size,
			      .key_size = key->name.size };
	if (pd_buffer_reserve(events, sizeof head + tenant.size + actor.size + key->name.size) != 0) {
		engine->events_lost = true;
		return;
	}
	PD_ASSERT(pd_buffer_append(events, &head, sizeof head) == 0);
	PD_ASSERT(pd_buffer_append_slice(events, tenant) == 0);
	PD_ASSERT(pd_buffer_append_slice(events, actor) == 0);
	PD_ASSERT(pd_buffer_append_slice(events, key->name) == 0);
}

bool pd_engine_next_event(const struct pd_engine *engine, size_t *at, struct pd_event *ret_event)
{
	const uint8_t *bytes;
	struct head head;

	if (*at == engine->events.size)
		return false;
	memcpy(&head, engine->events.data + *at, sizeof head);
	bytes = engine->events.data + *at + sizeof head;
	*ret_event = (struct pd_event){ .class = head.class,
					.name = head.name,
					.tenant = pd_slice(bytes, head.tenant_size),
					.actor = pd_slice(bytes + head.tenant_size, head.actor_size),
					.key = pd_slice(bytes + head.tenant_size + head.actor_size,
							head.key_size) };
	*at += sizeof head + head.tenant_size + head.actor_size + head.key_size;
	return true;
}

bool pd_engine_clear_events(struct pd_engine *engine)
{
	bool lost = engine->events_lost;

	if (engine->events.size > 0) {
		pd_buffer_clear(&engine->events);
		pd_buffer_shrink(&engine->events, KEPT_BYTES);
	}
	engine->events_lost = false;
	return lost;
}
