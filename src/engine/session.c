/* Sessions: whose requests these are, and where their keys are. */
#include <string.h>

#include "base/memory.h"
#include "engine/engine_private.h"

static const struct pd_slice default_tenant = { (const uint8_t *)"default", 7 };
static const struct pd_slice default_actor = { (const uint8_t *)"main", 4 };

static void set_place(struct pd_session *session, struct pd_slice tenant, struct pd_slice actor,
		      bool one_actor)
{
	memcpy(session->tenant_name, tenant.data, tenant.size);
	session->tenant_name_size = tenant.size;
	memcpy(session->actor_name, actor.data, actor.size);
	session->actor_name_size = actor.size;
	session->one_actor = one_actor;
	session->tenant = NULL;
	session->actor = NULL;
	pd_session_resolve(session);
}

void pd_session_resolve(struct pd_session *session)
{
	const struct pd_directory *directory = &session->engine->directory;

	if (session->removals != directory->removals) {
		session->removals = directory->removals;
		session->actor = NULL;
	}
	if (session->tenant == NULL)
		session->tenant = pd_directory_tenant(
			directory, pd_slice(session->tenant_name, session->tenant_name_size));
	if (session->actor == NULL)
		session->actor = pd_directory_actor(directory, session->tenant,
						    pd_slice(session->actor_name, session->actor_name_size));
}

struct pd_session *pd_session_new(struct pd_engine *engine, uint64_t client, const char *principal,
				  const char *client_text)
{
	struct pd_session *session = pd_calloc(1, sizeof *session);

	if (session == NULL)
		return NULL;
	session->engine = engine;
	session->client = client;
	session->principal = pd_strdup(principal);
	session->client_text = pd_strdup(client_text);
	if (session->principal == NULL || session->client_text == NULL) {
		pd_session_free(session);
		return NULL;
	}
	memcpy(session->home, default_tenant.data, default_tenant.size);
	session->home_size = default_tenant.size;
	set_place(session, default_tenant, default_actor, false);
	return session;
}

void pd_session_free(struct pd_session *session)
{
	if (session == NULL)
		return;
	pd_session_claim_nothing(session);
	pd_free(session->principal);
	pd_free(session->client_text);
	pd_free(session);
}

int pd_session_set_client_text(struct pd_session *session, const char *client_text)
{
	char *copy = pd_strdup(client_text);

	if (copy == NULL)
		return PD_NO_MEMORY;
	pd_free(session->client_text);
	session->client_text = copy;
	session->announced_segment = 0; /* say it again */
	return 0;
}

bool pd_actor_name_is_good(struct pd_slice name)
{
	if (name.size == 0 || name.size > PD_NAME_SIZE_MAX)
		return false;
	for (size_t i = 0; i < name.size; i++)
		if (name.data[i] == '{' || name.data[i] == '}' || name.data[i] == '/')
			return false;
	return true;
}

/* "[tenant/]actor"; *ret_tenant stays where none is named. */
static int split(const struct pd_session *session, struct pd_slice name, struct pd_slice *ret_tenant,
		 struct pd_slice *ret_actor, struct pd_error *err)
{
	const uint8_t *slash = name.size == 0 ? NULL : memchr(name.data, '/', name.size);
	struct pd_slice tenant = *ret_tenant, actor = name;

	if (slash != NULL) {
		tenant = pd_slice(name.data, (size_t)(slash - name.data));
		actor = pd_slice(slash + 1, name.size - tenant.size - 1);
	}
	if (!pd_actor_name_is_good(tenant) || !pd_actor_name_is_good(actor))
		return pd_error_set(
			err, PD_INVALID,
			"'%.*s' is no [tenant/]actor: each name has 1 to %u bytes, none of them {, } or /",
			name.size < 64 ? (int)name.size : 64, (const char *)name.data, PD_NAME_SIZE_MAX);
	if (!pd_session_reaches(session, tenant))
		return pd_error_set(err, PD_PERMISSION,
				    "this user has nothing to do with other tenants than '%.*s'",
				    (int)session->home_size, (const char *)session->home);
	*ret_tenant = tenant;
	*ret_actor = actor;
	return 0;
}

int pd_session_use(struct pd_session *session, struct pd_slice name, struct pd_error *err)
{
	struct pd_slice tenant = pd_slice(session->home, session->home_size), actor = default_actor;
	int result = name.size > 0 ? split(session, name, &tenant, &actor, err) : 0;

	if (result == 0)
		set_place(session, tenant, actor, name.size > 0);
	return result;
}

int pd_session_place(struct pd_session *session, struct pd_slice name, struct pd_slice *ret_tenant,
		     struct pd_slice *ret_actor, struct pd_error *err)
{
	pd_session_resolve(session);
	*ret_tenant = pd_session_tenant(session);
	*ret_actor = name;
	if (pd_directory_actor(&session->engine->directory, session->tenant, name) != NULL)
		return 0;
	return split(session, name, ret_tenant, ret_actor, err);
}

bool pd_session_reaches(const struct pd_session *session, struct pd_slice tenant)
{
	return !session->confined || pd_slice_equal(tenant, pd_slice(session->home, session->home_size));
}

int pd_session_set_home(struct pd_session *session, struct pd_slice tenant, bool confined,
			struct pd_error *err)
{
	if (!pd_actor_name_is_good(tenant))
		return pd_error_set(
			err, PD_INVALID,
			"'%.*s' is no tenant's name: it has 1 to %u bytes, none of them {, } or /",
			tenant.size < 64 ? (int)tenant.size : 64, (const char *)tenant.data,
			PD_NAME_SIZE_MAX);
	memcpy(session->home, tenant.data, tenant.size);
	session->home_size = tenant.size;
	session->confined = confined;
	set_place(session, tenant, default_actor, false);
	return 0;
}

int pd_engine_check_level(const struct pd_engine *engine, enum pd_level level, struct pd_error *err)
{
	if (engine->options.in_memory && level > PD_LEVEL_NONE)
		return pd_error_set(
			err, PD_NOT_SUPPORTED,
			"durability %s needs a disk, and this server keeps everything in memory: start "
			"it with --data",
			pd_level_name(level));
	if (level == PD_LEVEL_FULL && engine->options.levels == PD_LEVELS_NONE)
		return pd_error_set(err, PD_NOT_SUPPORTED,
				    "durability full needs state on disk, which this server keeps in memory: "
				    "use strict");
	if (level == PD_LEVEL_CRITICAL)
		return pd_error_set(err, PD_NOT_SUPPORTED,
				    "durability critical needs a quorum of machines, and this server is "
				    "alone: use strict");
	return 0;
}

int pd_session_set_level(struct pd_session *session, enum pd_level level, struct pd_error *err)
{
	int result = pd_engine_check_level(session->engine, level, err);

	if (result == 0)
		session->level = level;
	return result;
}

bool pd_session_is_special(const struct pd_session *session)
{
	struct pd_slice home = pd_slice(session->home, session->home_size);

	return session->one_actor || session->read_strict || session->claim_count > 0 ||
	       session->level != PD_LEVEL_UNSET || !pd_slice_equal(pd_session_tenant(session), home);
}

void pd_session_set_read_strict(struct pd_session *session, bool strict)
{
	session->read_strict = strict;
}

enum pd_level pd_session_level(const struct pd_session *session)
{
	return session->level;
}

struct pd_slice pd_session_actor(const struct pd_session *session)
{
	return pd_slice(session->actor_name, session->actor_name_size);
}

struct pd_slice pd_session_tenant(const struct pd_session *session)
{
	return pd_slice(session->tenant_name, session->tenant_name_size);
}
