/* Sessions: who is asking. */
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "embed/embed_private.h"

/* ---- around every call ---- */

int pd_embed_enter(struct perdure_session *session, struct perdure_error *err)
{
	if (session == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "the session is NULL: make one with perdure_session_new()");
	if (session->db->process != getpid())
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "this session belongs to process %d: after fork() the child cannot "
				       "use what its parent "
				       "opened",
				       (int)session->db->process);
	if (atomic_flag_test_and_set(&session->busy))
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"this session is in use by another thread: give each thread a session of its own");
	return 0;
}

void pd_embed_leave(struct perdure_session *session)
{
	pd_buffer_shrink(&session->reply, REPLY_KEEP_BYTES);
	pd_buffer_shrink(&session->preview, REPLY_KEEP_BYTES);
	pd_buffer_shrink(&session->name, REPLY_KEEP_BYTES);
	atomic_flag_clear(&session->busy);
}

int pd_embed_check_write(const struct perdure_session *session, struct perdure_error *err)
{
	if (!session->db->read_only)
		return 0;
	return pd_embed_errorf(err, PERDURE_READ_ONLY,
			       "%s was opened with PERDURE_OPEN_READ_ONLY: nothing is written to it",
			       session->db->path);
}

/* ---- names ---- */

static int bad_name(const char *what, struct pd_slice name, struct perdure_error *err)
{
	return pd_embed_errorf(err, PERDURE_INVALID,
			       "'%.*s' is no name of %s: it has 1 to %u bytes, none of them {, } or /",
			       name.size < 64 ? (int)name.size : 64,
			       name.data != NULL ? (const char *)name.data : "", what, PD_NAME_SIZE_MAX);
}

int pd_embed_name(struct perdure_session *session, struct perdure_bytes actor, struct perdure_bytes key,
		  struct pd_slice *ret_name, struct perdure_error *err)
{
	return pd_embed_spell(&session->name, pd_slice(session->actor, session->actor_size), actor, key,
			      ret_name, err);
}

int pd_embed_spell(struct pd_buffer *name, struct pd_slice current, struct perdure_bytes actor,
		   struct perdure_bytes key, struct pd_slice *ret_name, struct perdure_error *err)
{
	struct pd_slice whose = actor.size > 0 ? pd_embed_slice(actor) : current;
	int result;

	if ((actor.size > 0 && actor.data == NULL) || (key.size > 0 && key.data == NULL))
		return pd_embed_errorf(err, PERDURE_INVALID, "bytes at NULL have size 0");
	if (actor.size > 0 && !pd_actor_name_is_good(whose))
		return bad_name("an actor", whose, err);
	if (key.size > PERDURE_KEY_SIZE_MAX)
		return pd_embed_errorf(err, PERDURE_TOO_LARGE, "a key may have %u bytes, not %zu",
				       PERDURE_KEY_SIZE_MAX, key.size);
	pd_buffer_clear(name);
	result = pd_buffer_reserve(name, whose.size + key.size + 2);
	if (result != 0)
		return pd_embed_errorf(err, result, "out of memory");
	name->data[name->size++] = '{';
	memcpy(name->data + name->size, whose.data, whose.size);
	name->size += whose.size;
	name->data[name->size++] = '}';
	if (key.size > 0)
		memcpy(name->data + name->size, key.data, key.size);
	name->size += key.size;
	*ret_name = pd_buffer_slice(name);
	return 0;
}

/* ---- jobs ---- */

struct place {
	struct perdure_session *session;
	char name[2 * PD_NAME_SIZE_MAX + 2]; /* "tenant/actor" */
	size_t size;
};

static void set_place(struct place *place, struct perdure_session *session, struct pd_slice actor)
{
	size_t tenant_size = strlen(session->tenant);

	place->session = session;
	memcpy(place->name, session->tenant, tenant_size);
	place->name[tenant_size] = '/';
	memcpy(place->name + tenant_size + 1, actor.data, actor.size);
	place->size = tenant_size + 1 + actor.size;
}

static int create(struct pd_job *job)
{
	struct place *place = job->argument;
	struct perdure_session *session = place->session;
	struct perdure *db = session->db;
	int result;

	session->session = pd_session_new(job->engine, ++db->next_client, "local", db->client_text);
	if (session->session == NULL)
		return pd_error_set(&job->err, PD_NO_MEMORY, "out of memory for a session");
	result = pd_session_use(session->session, pd_slice(place->name, place->size), &job->err);
	if (result != 0) {
		pd_session_free(session->session);
		return result;
	}
	/* Known from here on, so that closing the directory finds it. */
	(void)pthread_mutex_lock(&db->sessions_lock);
	session->next = db->sessions;
	if (session->next != NULL)
		session->next->previous = session;
	db->sessions = session;
	(void)pthread_mutex_unlock(&db->sessions_lock);
	return 0;
}

static int destroy(struct pd_job *job)
{
	struct perdure_session *session = job->argument;

	pd_transfer_done(&session->transfer);
	pd_session_free(session->session);
	session->session = NULL;
	return 0;
}

static int use(struct pd_job *job)
{
	struct place *place = job->argument;

	return pd_session_use(place->session->session, pd_slice(place->name, place->size), &job->err);
}

static int set_level(struct pd_job *job)
{
	struct perdure_session *session = job->argument;

	return pd_session_set_level(session->session, session->level, &job->err);
}

/* ---- public ---- */

static void unlink_session(struct perdure_session *session)
{
	struct perdure *db = session->db;

	(void)pthread_mutex_lock(&db->sessions_lock);
	if (session->previous != NULL)
		session->previous->next = session->next;
	else if (db->sessions == session)
		db->sessions = session->next;
	if (session->next != NULL)
		session->next->previous = session->previous;
	(void)pthread_mutex_unlock(&db->sessions_lock);
}

static void free_session(struct perdure_session *session)
{
	pd_transaction_done(&session->transaction);
	pd_buffer_done(&session->name);
	pd_buffer_done(&session->reply);
	pd_buffer_done(&session->preview);
	pd_buffer_done(&session->result);
	pd_free(session);
}

int perdure_session_new(struct perdure *db, const char *tenant, struct perdure_session **ret_session,
			struct perdure_error *err)
{
	struct pd_slice name = pd_slice_string(tenant != NULL ? tenant : "default");
	struct perdure_session *session;
	struct place place;
	struct pd_job job = { .run = create, .argument = &place };
	int result;

	if (db == NULL || ret_session == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "perdure_session_new() needs an open directory and a place");
	if (db->process != getpid())
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "after fork() the child cannot use what its parent opened");
	if (!pd_actor_name_is_good(name))
		return bad_name("a tenant", name, err);
	session = pd_calloc(1, sizeof *session);
	if (session == NULL)
		return pd_embed_errorf(err, PERDURE_NO_MEMORY, "out of memory for a session");
	session->db = db;
	atomic_flag_clear(&session->busy);
	memcpy(session->tenant, name.data, name.size);
	memcpy(session->actor, "main", 4);
	session->actor_size = 4;
	pd_buffer_init(&session->name, PD_NAME_SIZE_MAX + PERDURE_KEY_SIZE_MAX + 2);
	pd_buffer_init(&session->reply, (size_t)PD_VALUE_SIZE_MAX * 2);
	pd_buffer_init(&session->preview, (size_t)PD_VALUE_SIZE_MAX * 2);
	pd_buffer_init(&session->result, PERDURE_TRANSACTION_SIZE_MAX);
	pd_transaction_init(&session->transaction);
	set_place(&place, session, pd_slice(session->actor, session->actor_size));
	(void)atomic_fetch_add(&db->holders, 1);
	result = pd_embed_run(db, &job, err);
	if (result != 0) {
		free_session(session);
		pd_embed_release(db);
		return result;
	}
	*ret_session = session;
	return 0;
}

void perdure_session_free(struct perdure_session *session)
{
	struct pd_job job = { .run = destroy, .argument = session };
	struct perdure *db;

	if (session == NULL)
		return;
	db = session->db;
	pd_embed_detach_scans(session);
	if (db->process == getpid()) {
		(void)!pd_embed_run(db, &job, NULL);
		unlink_session(session);
		/* Refused, and out of the list before the closing had come to it: nobody else has it now. */
		pd_session_free(session->session);
	}
	free_session(session);
	pd_embed_release(db);
}

int perdure_session_set_level(struct perdure_session *session, int level, struct perdure_error *err)
{
	struct pd_job job = { .run = set_level, .argument = session };
	enum pd_level before;
	int result;

	if (level < PERDURE_LEVEL_DEFAULT || level > PERDURE_LEVEL_FULL)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "%d is no durability level: see enum perdure_level", level);
	result = pd_embed_enter(session, err);
	if (result != 0)
		return result;
	before = session->level;
	session->level = (enum pd_level)level;
	result = pd_embed_run(session->db, &job, err);
	if (result != 0)
		session->level = before;
	pd_embed_leave(session);
	return result;
}

int perdure_session_use(struct perdure_session *session, struct perdure_bytes actor,
			struct perdure_error *err)
{
	struct pd_slice name = pd_embed_slice(actor);
	struct place place;
	struct pd_job job = { .run = use, .argument = &place };
	int result;

	if (actor.data == NULL || !pd_actor_name_is_good(name))
		return bad_name("an actor", name, err);
	result = pd_embed_enter(session, err);
	if (result != 0)
		return result;
	set_place(&place, session, name);
	result = pd_embed_run(session->db, &job, err);
	if (result == 0) {
		memcpy(session->actor, name.data, name.size);
		session->actor_size = name.size;
	}
	pd_embed_leave(session);
	return result;
}
