/* Names of tenants and actors from the directory's own records, and of clients from their announcements. */
#include <inttypes.h>
#include <string.h>

#include "base/codec.h"
#include "base/memory.h"
#include "cli/log_private.h"

#define SYSTEM_ACTOR 0u /* whose entries the directory of names is: engine/engine_private.h draws its keys */

void pd_cli_log_names_init(struct pd_cli_log_names *names)
{
	*names = (struct pd_cli_log_names){ 0 };
	pd_id_table_init(&names->tenants, sizeof(struct pd_cli_log_name));
	pd_id_table_init(&names->actors, sizeof(struct pd_cli_log_name));
	pd_id_table_init(&names->clients, sizeof(struct pd_cli_log_client));
}

static void free_names(struct pd_id_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		pd_free(((struct pd_cli_log_name *)pd_id_table_at(table, i))->text);
	pd_id_table_done(table);
}

static void forget_clients(struct pd_cli_log_names *names)
{
	for (size_t i = 0; i < names->clients.count; i++) {
		struct pd_cli_log_client *client = pd_id_table_at(&names->clients, i);

		pd_free(client->principal);
		pd_free(client->text);
	}
	pd_id_table_clear(&names->clients);
}

void pd_cli_log_names_done(struct pd_cli_log_names *names)
{
	free_names(&names->tenants);
	free_names(&names->actors);
	forget_clients(names);
	pd_id_table_done(&names->clients);
}

/* ---- learning ---- */

static void set_text(struct pd_cli_log_names *names, struct pd_slice from, char **text, size_t *size)
{
	char *copy = pd_malloc(from.size + 1);

	if (copy == NULL) {
		names->out_of_memory = true;
		return;
	}
	if (from.size > 0)
		memcpy(copy, from.data, from.size);
	copy[from.size] = '\0';
	pd_free(*text);
	*text = copy;
	*size = from.size;
}

static void learn_name(struct pd_cli_log_names *names, struct pd_id_table *table, uint64_t id,
		       uint64_t tenant, struct pd_slice text)
{
	struct pd_cli_log_name *name = pd_id_table_add(table, id);

	if (name == NULL) {
		names->out_of_memory = true;
		return;
	}
	name->tenant = tenant;
	set_text(names, text, &name->text, &name->size);
}

void pd_cli_log_names_add(struct pd_cli_log_names *names, uint64_t id, uint64_t tenant, struct pd_slice text)
{
	learn_name(names, tenant == 0 ? &names->tenants : &names->actors, id, tenant, text);
}

static void hear(struct pd_cli_log_names *names, uint64_t id, uint64_t tenant, struct pd_slice text)
{
	pd_cli_log_names_add(names, id, tenant, text);
	if (names->told != NULL)
		names->told(names->context, id, tenant, text);
}

static void learn_entry(struct pd_cli_log_names *names, const struct pd_effect *effect)
{
	struct pd_slice key = effect->key;
	uint64_t id, tenant;
	size_t size;

	if (effect->kind != PD_EFFECT_PUT || effect->actor != SYSTEM_ACTOR || key.size < 2 ||
	    pd_varint_get(effect->value.data, effect->value.size, &id) == 0)
		return;
	if (key.data[0] == 't') {
		hear(names, id, 0, pd_slice(key.data + 1, key.size - 1));
	} else if (key.data[0] == 'a') {
		size = pd_varint_get(key.data + 1, key.size - 1, &tenant);
		if (size > 0)
			hear(names, id, tenant, pd_slice(key.data + 1 + size, key.size - 1 - size));
	}
}

/* Clients say who they are once in each segment, and their numbers are an epoch's own. */
static void learn_client(struct pd_cli_log_names *names, const struct pd_log_sight *sight)
{
	const struct pd_record_head *head = &sight->record.head;
	struct pd_cli_log_client *client;

	if (sight->record.epoch != names->epoch ||
	    (sight->segment != names->segment && names->clients.count > 100000)) {
		forget_clients(names);
		names->epoch = sight->record.epoch;
	}
	names->segment = sight->segment;
	if (head->client == 0 || (head->principal.size == 0 && head->client_text.size == 0))
		return;
	client = pd_id_table_add(&names->clients, head->client);
	if (client == NULL) {
		names->out_of_memory = true;
		return;
	}
	client->segment = sight->segment;
	set_text(names, head->principal, &client->principal, &client->principal_size);
	set_text(names, head->client_text, &client->text, &client->text_size);
}

void pd_cli_log_names_learn(struct pd_cli_log_names *names, const struct pd_log_sight *sight)
{
	struct pd_effect_walk walk;
	struct pd_effect effect;

	learn_client(names, sight);
	pd_effect_walk_init(&walk, &sight->record);
	while (pd_effect_next(&walk, &effect) == 0)
		learn_entry(names, &effect);
}

/* ---- telling ---- */

const struct pd_cli_log_name *pd_cli_log_names_tenant(const struct pd_cli_log_names *names, uint64_t id)
{
	return pd_id_table_find(&names->tenants, id);
}

const struct pd_cli_log_name *pd_cli_log_names_actor(const struct pd_cli_log_names *names, uint64_t id)
{
	return pd_id_table_find(&names->actors, id);
}

const struct pd_cli_log_client *pd_cli_log_names_client(const struct pd_cli_log_names *names, uint64_t number)
{
	return pd_id_table_find(&names->clients, number);
}

static struct pd_slice text_of(const struct pd_cli_log_name *name)
{
	return name == NULL || name->text == NULL ? pd_slice(NULL, 0) : pd_slice(name->text, name->size);
}

/* An actor's tenant is known from its name's own record, also where the caller does not know it. */
static uint64_t tenant_of(const struct pd_cli_log_names *names, uint64_t tenant, uint64_t actor)
{
	const struct pd_cli_log_name *name = pd_cli_log_names_actor(names, actor);

	return name != NULL ? name->tenant : tenant;
}

void pd_cli_log_names_print(const struct pd_cli_log_names *names, struct pd_output *output, uint64_t tenant,
			    uint64_t actor)
{
	struct pd_slice tenant_name = text_of(
		pd_cli_log_names_tenant(names, tenant_of(names, tenant, actor)));
	struct pd_slice actor_name = text_of(pd_cli_log_names_actor(names, actor));

	if (actor == SYSTEM_ACTOR) {
		pd_output_text(output, "(names and idempotency keys)");
		return;
	}
	if (tenant_name.size > 0) {
		pd_output_word(output, tenant_name);
		pd_output_text(output, "/");
	}
	if (actor_name.size > 0)
		pd_output_word(output, actor_name);
	else
		pd_output_text(output, "(actor %" PRIu64 ", whose name is not in the log)", actor);
}

void pd_cli_log_names_fields(const struct pd_cli_log_names *names, struct pd_output *output, uint64_t tenant,
			     uint64_t actor)
{
	struct pd_slice tenant_name = text_of(
		pd_cli_log_names_tenant(names, tenant_of(names, tenant, actor)));
	struct pd_slice actor_name = text_of(pd_cli_log_names_actor(names, actor));

	pd_output_number_field(output, "actor_id", actor);
	if (actor == SYSTEM_ACTOR)
		pd_output_bool_field(output, "system", true);
	if (tenant_name.size > 0)
		pd_output_bytes_field(output, "tenant", tenant_name);
	if (actor_name.size > 0)
		pd_output_bytes_field(output, "actor", actor_name);
}

bool pd_cli_log_names_match(const struct pd_cli_log_names *names, const char *wanted, uint64_t tenant,
			    uint64_t actor)
{
	const char *slash = strchr(wanted, '/');
	struct pd_slice wanted_tenant = slash == NULL ? pd_slice_string("default")
						      : pd_slice(wanted, (size_t)(slash - wanted));
	struct pd_slice wanted_actor = pd_slice_string(slash == NULL ? wanted : slash + 1);

	return actor != SYSTEM_ACTOR &&
	       pd_slice_equal(text_of(pd_cli_log_names_actor(names, actor)), wanted_actor) &&
	       pd_slice_equal(text_of(pd_cli_log_names_tenant(names, tenant_of(names, tenant, actor))),
			      wanted_tenant);
}
