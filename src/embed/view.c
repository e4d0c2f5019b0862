/* Views: reading one moment on the caller's own thread, beside the engine.
 *
 * Keys are looked for as the store has them (docs/format/state.md): names of tenants and actors, too, are entries of that
 * moment. A portion of a scan is one stay inside of the engine's view. */
#include "model/kv/kv.h"
#include "embed/view.h"

#include <string.h>
#include <unistd.h>

#include "base/codec.h"
#include "base/memory.h"
#include "engine/view.h"

#define SYSTEM_ACTOR  0u
#define OPEN_RETRY_US 1000

struct perdure_view {
	struct perdure *db;
	struct perdure_view *next, *previous; /* of db->views, guarded by db->sessions_lock */
	atomic_uint holders;                  /* the caller, and each scan */
	pthread_mutex_t lock;                 /* who reads; closing waits for it */
	struct pd_engine_view *view;          /* NULL: closed */
	char tenant[PD_NAME_SIZE_MAX + 1];
	char actor[PD_NAME_SIZE_MAX]; /* that is meant by none */
	size_t actor_size;
	struct pd_buffer name; /* "{actor}key" of the call that is running */
	struct pd_buffer key, bound;
};

/* ---- life ---- */

void pd_view_hold(struct perdure_view *view)
{
	(void)atomic_fetch_add(&view->holders, 1);
}

void pd_view_release(struct perdure_view *view)
{
	if (view == NULL || atomic_fetch_sub(&view->holders, 1) != 1)
		return;
	(void)pthread_mutex_destroy(&view->lock);
	pd_buffer_done(&view->name);
	pd_buffer_done(&view->key);
	pd_buffer_done(&view->bound);
	pd_embed_release(view->db);
	pd_free(view);
}

static void close_view(struct perdure_view *view)
{
	(void)pthread_mutex_lock(&view->lock);
	pd_engine_view_close(view->view);
	view->view = NULL;
	(void)pthread_mutex_unlock(&view->lock);
}

void pd_views_close(struct perdure *db)
{
	for (struct perdure_view *view = db->views; view != NULL; view = view->next)
		close_view(view);
}

static int open_view(struct pd_job *job)
{
	struct perdure_view *view = job->argument;
	struct perdure *db = view->db;
	int result = pd_engine_view_open(job->engine, &view->view, &job->wait, &job->err);

	job->wrote = true; /* a step may be what it waits for, and what lets go of closed ones */
	if (result == PD_AGAIN)
		job->retry_us = OPEN_RETRY_US;
	if (result != 0)
		return result;
	(void)pthread_mutex_lock(&db->sessions_lock);
	view->next = db->views;
	if (view->next != NULL)
		view->next->previous = view;
	db->views = view;
	(void)pthread_mutex_unlock(&db->sessions_lock);
	return 0;
}

static struct perdure_view *allocate(const struct perdure_session *session)
{
	struct perdure_view *view = pd_calloc(1, sizeof *view);

	if (view == NULL)
		return NULL;
	view->db = session->db;
	(void)atomic_fetch_add(&view->db->holders, 1);
	atomic_init(&view->holders, 1);
	(void)pthread_mutex_init(&view->lock, NULL);
	memcpy(view->tenant, session->tenant, sizeof view->tenant);
	memcpy(view->actor, session->actor, session->actor_size);
	view->actor_size = session->actor_size;
	pd_buffer_init(&view->name, PD_NAME_SIZE_MAX + PERDURE_KEY_SIZE_MAX + 2);
	pd_buffer_init(&view->key, PD_KEY_SIZE_MAX + 1);
	pd_buffer_init(&view->bound, PD_KEY_SIZE_MAX + 1);
	return view;
}

int perdure_view_new(struct perdure_session *session, struct perdure_view **ret_view,
		     struct perdure_error *err)
{
	struct perdure_view *view;
	struct pd_job job = { .run = open_view };
	int result = pd_embed_enter(session, err);

	if (result != 0)
		return result;
	view = ret_view != NULL ? allocate(session) : NULL;
	if (ret_view == NULL)
		result = pd_embed_errorf(err, PERDURE_INVALID, "there is no place for the view");
	else if (view == NULL)
		result = pd_embed_errorf(err, PERDURE_NO_MEMORY, "out of memory for a view");
	job.argument = view;
	if (result == 0)
		result = pd_embed_run(session->db, &job, err);
	if (result == 0)
		*ret_view = view;
	else
		perdure_view_free(view);
	pd_embed_leave(session);
	return result;
}

void perdure_view_free(struct perdure_view *view)
{
	struct perdure *db;

	if (view == NULL)
		return;
	db = view->db;
	if (db->process == getpid()) {
		(void)pthread_mutex_lock(&db->sessions_lock);
		if (view->previous != NULL)
			view->previous->next = view->next;
		else if (db->views == view)
			db->views = view->next;
		if (view->next != NULL)
			view->next->previous = view->previous;
		close_view(view);
		(void)pthread_mutex_unlock(&db->sessions_lock);
	}
	pd_view_release(view);
}

/* ---- around every call ---- */

static int enter(struct perdure_view *view, struct perdure_error *err)
{
	struct pd_error why = { .text = "" };
	int result;

	if (view == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "the view is NULL: make one with perdure_view_new()");
	if (view->db->process != getpid())
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "this view belongs to process %d: after fork() the child cannot use "
				       "what its parent opened",
				       (int)view->db->process);
	if (pthread_mutex_trylock(&view->lock) != 0)
		return pd_embed_errorf(
			err, PERDURE_INVALID,
			"this view is in use by another thread: give each thread a view of its own");
	if (view->view == NULL) {
		(void)pthread_mutex_unlock(&view->lock);
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "this view, or what it is of, has been closed: make another");
	}
	result = pd_engine_view_enter(view->view, &why);
	if (result == 0)
		return 0;
	(void)pthread_mutex_unlock(&view->lock);
	return pd_embed_error(err, result, &why);
}

static void leave(struct perdure_view *view)
{
	pd_engine_view_leave(view->view);
	pd_buffer_shrink(&view->name, REPLY_KEEP_BYTES);
	(void)pthread_mutex_unlock(&view->lock);
}

/* ---- inside ---- */

/* The number in an entry of the system actor: PD_NOT_FOUND, or its code. */
static int system_number(struct perdure_view *view, struct pd_slice key, uint64_t *ret_number,
			 struct pd_error *err)
{
	struct pd_entry entry;
	int result = pd_engine_view_get(view->view, SYSTEM_ACTOR, key, &entry, err);

	if (result < 0)
		return result;
	if (result == 0)
		return PD_NOT_FOUND;
	return pd_varint_get(entry.value.data, entry.value.size, ret_number) > 0 ? 0 : PD_CORRUPT;
}

/* PD_NOT_FOUND: there was no such actor. */
static int find_actor(struct perdure_view *view, struct pd_slice name, uint64_t *ret_id, struct pd_error *err)
{
	uint8_t key[1 + PD_VARINT_MAX + PD_NAME_SIZE_MAX];
	size_t size = strlen(view->tenant);
	uint64_t tenant;
	int result;

	key[0] = 't';
	memcpy(key + 1, view->tenant, size);
	result = system_number(view, pd_slice(key, 1 + size), &tenant, err);
	if (result != 0)
		return result;
	key[0] = 'a';
	size = 1 + pd_varint_put(key + 1, tenant);
	memcpy(key + size, name.data, name.size);
	return system_number(view, pd_slice(key, size + name.size), ret_id, err);
}

/* "{actor}key" in its two parts. */
static void split(struct pd_slice name, struct pd_slice *ret_actor, struct pd_slice *ret_key)
{
	const uint8_t *end = memchr(name.data, '}', name.size);

	*ret_actor = pd_slice(name.data + 1, (size_t)(end - name.data) - 1);
	*ret_key = pd_slice(end + 1, name.size - ret_actor->size - 2);
}

/* As the store has it. */
static int encode(struct pd_buffer *buffer, enum pd_space space, struct pd_slice key, struct pd_slice field)
{
	uint8_t head[3] = { (uint8_t)space, (uint8_t)(key.size >> 8), (uint8_t)key.size };
	int result;

	pd_buffer_clear(buffer);
	result = pd_buffer_append(buffer, head, space == PD_SPACE_FIELD ? 3 : 1);
	if (result == 0)
		result = pd_buffer_append_slice(buffer, key);
	return result == 0 ? pd_buffer_append_slice(buffer, field) : result;
}

/* 1: found; 0: not there; else a code. */
static int get_entry(struct perdure_view *view, uint64_t actor, enum pd_space space, struct pd_slice key,
		     struct pd_slice field, struct pd_entry *ret_entry, struct pd_error *err)
{
	int result = encode(&view->key, space, key, field);

	if (result == PD_TOO_LARGE) /* no key is as long as that */
		return 0;
	if (result != 0)
		return pd_error_set(err, result, "out of memory");
	return pd_engine_view_get(view->view, actor, pd_buffer_slice(&view->key), ret_entry, err);
}

/* The entry of a key: as get_entry(), 0 also without its actor. */
static int find(struct perdure_view *view, struct pd_slice name, uint64_t *ret_actor,
		struct pd_slice *ret_key, struct pd_entry *ret_entry, struct pd_error *err)
{
	struct pd_slice actor;
	int result;

	split(name, &actor, ret_key);
	result = find_actor(view, actor, ret_actor, err);
	if (result == PD_NOT_FOUND)
		return 0;
	if (result != 0)
		return result;
	return get_entry(view, *ret_actor, PD_SPACE_KEY, *ret_key, pd_slice(NULL, 0), ret_entry, err);
}

static int take_value(struct perdure_view *view, struct pd_slice name, const struct pd_slice *field,
		      struct perdure_value *ret_value, struct pd_error *err)
{
	struct pd_entry entry, found;
	struct pd_slice key;
	uint64_t actor, version, expires_us;
	uint8_t *bytes;
	size_t size;
	int result = find(view, name, &actor, &key, &entry, err);

	if (result < 0)
		return result;
	if (result == 0)
		return pd_error_set(err, PD_NOT_FOUND, "there is no such key");
	if (pd_embed_type(entry.type) != (field != NULL ? PERDURE_TYPE_HASH : PERDURE_TYPE_STRING))
		return pd_error_set(err, PD_WRONG_TYPE, "the key holds something else than a %s",
				    field != NULL ? "hash" : "string");
	version = entry.lsn;
	expires_us = entry.expires_us;
	found = entry;
	if (field != NULL) {
		result = get_entry(view, actor, PD_SPACE_FIELD, key, *field, &found, err);
		if (result < 0)
			return result;
		if (result == 0)
			return pd_error_set(err, PD_NOT_FOUND, "there is no such field");
	}
	size = (size_t)pd_kv_string_size(&found);
	bytes = pd_malloc(size + 1);
	ret_value->data = bytes;
	if (bytes == NULL)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a value of %zu bytes", size);
	bytes[size] = '\0';
	ret_value->size = size;
	result = pd_engine_view_copy_string(view->view, actor, &found, bytes, err);
	if (result != 0) {
		pd_free(bytes);
		ret_value->data = NULL;
		return result;
	}
	ret_value->version = version;
	ret_value->expires_us = expires_us;
	return 0;
}

/* ---- scans ---- */

/* Where a portion begins and ends, in view->key and view->bound. */
static int set_portion(struct perdure_view *view, const struct perdure_scan *scan, struct pd_slice key)
{
	enum pd_space space = scan->kind == SCAN_FIELDS ? PD_SPACE_FIELD : PD_SPACE_KEY;
	struct pd_slice name = scan->kind == SCAN_FIELDS ? key : pd_slice(NULL, 0);
	int result = encode(&view->key, space, name, pd_buffer_slice(&scan->from));

	if (result == 0)
		result = encode(&view->bound, space, name, pd_buffer_slice(&scan->to));
	/* To the end of all that begins like that. */
	if (result == 0 && scan->to.size == 0)
		while (++view->bound.data[view->bound.size - 1] == 0)
			view->bound.size--;
	return result;
}

struct walking {
	struct perdure_view *view;
	uint64_t actor;
	struct pd_error *err;
};

static int copy_value(void *context, struct pd_slice name, const struct pd_entry *entry, uint8_t *to)
{
	struct walking *walking = context;

	(void)name;
	return pd_engine_view_copy_string(walking->view->view, walking->actor, entry, to, walking->err);
}

static int walk(struct perdure_view *view, struct perdure_scan *scan, uint64_t actor, size_t skip,
		struct pd_error *err)
{
	uint64_t most = scan->left < scan->portion ? scan->left : scan->portion;
	struct walking walking = { view, actor, err };
	struct pd_store_view_cursor *cursor;
	struct pd_entry entry;
	int result = pd_engine_view_seek(view->view, actor, pd_buffer_slice(&view->key),
					 pd_buffer_slice(&view->bound), &cursor, err);

	if (result != 0)
		return result;
	while ((result = pd_engine_view_next(view->view, cursor, &entry, err)) == 1) {
		struct pd_slice name = pd_slice(entry.key.data + skip, entry.key.size - skip);

		result = pd_scan_keep(scan, name, &entry, copy_value, &walking);
		if (result == 0 && (scan->count == most || scan->keep.size >= PORTION_BYTES)) {
			scan->ended = false;
			result = pd_scan_behind(&scan->stretch_to, name);
			break;
		}
		if (result != 0)
			break;
	}
	pd_store_view_cursor_free(cursor);
	return result;
}

static int fill(struct perdure_view *view, struct perdure_scan *scan, struct pd_error *err)
{
	struct pd_slice actor_name, key;
	struct pd_entry entry;
	uint64_t actor;
	size_t skip = 1;
	int result;

	scan->ended = true;
	split(pd_buffer_slice(&scan->name), &actor_name, &key);
	result = find_actor(view, actor_name, &actor, err);
	if (result == 0 && scan->kind == SCAN_FIELDS) {
		result = get_entry(view, actor, PD_SPACE_KEY, key, pd_slice(NULL, 0), &entry, err);
		if (result == 1 && entry.type != PD_TYPE_HASH)
			return pd_error_set(err, PD_WRONG_TYPE, "the key holds something else than a hash");
		result = result == 1 ? 0 : result == 0 ? PD_NOT_FOUND : result;
		skip = 3 + key.size;
	}
	if (result == PD_NOT_FOUND)
		return 0;
	if (result == 0)
		result = set_portion(view, scan, key);
	if (result == PD_TOO_LARGE) /* no key is as long as that */
		return 0;
	return result == 0 ? walk(view, scan, actor, skip, err) : result;
}

int pd_view_portion(struct perdure_view *view, struct perdure_scan *scan, struct perdure_error *err)
{
	struct pd_error why = { .text = "" };
	int result = enter(view, err);

	if (result != 0)
		return result;
	result = fill(view, scan, &why);
	leave(view);
	return pd_embed_error(err, result, &why);
}

/* ---- public ---- */

int perdure_view_moment(struct perdure_view *view, struct perdure_receipt *ret_moment,
			struct perdure_error *err)
{
	struct pd_receipt moment = { 0 };
	int result = enter(view, err);

	if (result != 0)
		return result;
	pd_engine_view_moment(view->view, &moment.epoch, &moment.lsn, &moment.time_us);
	leave(view);
	if (ret_moment == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID, "there is no place for the moment");
	pd_embed_fill_receipt(&moment, ret_moment);
	return 0;
}

static int spell(struct perdure_view *view, struct perdure_bytes actor, struct perdure_bytes key,
		 struct pd_slice *ret_name, struct perdure_error *err)
{
	return pd_embed_spell(&view->name, pd_slice(view->actor, view->actor_size), actor, key, ret_name,
			      err);
}

static int get(struct perdure_view *view, struct perdure_bytes actor, struct perdure_bytes key,
	       const struct pd_slice *field, struct perdure_value *ret_value, struct perdure_error *err)
{
	struct pd_error why = { .text = "" };
	struct pd_slice name;
	int result = enter(view, err);

	if (result != 0)
		return result;
	if (ret_value == NULL)
		result = pd_embed_errorf(err, PERDURE_INVALID, "there is no place for the value");
	if (result == 0)
		result = spell(view, actor, key, &name, err);
	if (result == 0)
		result = pd_embed_error(err, take_value(view, name, field, ret_value, &why), &why);
	leave(view);
	return result;
}

int perdure_view_get(struct perdure_view *view, struct perdure_bytes actor, struct perdure_bytes key,
		     struct perdure_value *ret_value, struct perdure_error *err)
{
	return get(view, actor, key, NULL, ret_value, err);
}

int perdure_view_hash_get(struct perdure_view *view, struct perdure_bytes actor, struct perdure_bytes key,
			  struct perdure_bytes field, struct perdure_value *ret_value,
			  struct perdure_error *err)
{
	struct pd_slice name = pd_embed_slice(field);

	if (field.data == NULL && field.size > 0)
		return pd_embed_errorf(err, PERDURE_INVALID, "bytes at NULL have size 0");
	return get(view, actor, key, &name, ret_value, err);
}

int perdure_view_look(struct perdure_view *view, struct perdure_bytes actor, struct perdure_bytes key,
		      struct perdure_key_info *ret_info, struct perdure_error *err)
{
	struct pd_error why = { .text = "" };
	struct pd_slice name, plain;
	struct pd_entry entry;
	uint64_t id;
	int result = enter(view, err);

	if (result != 0)
		return result;
	if (ret_info == NULL)
		result = pd_embed_errorf(err, PERDURE_INVALID, "there is no place for what is found");
	if (result == 0)
		result = spell(view, actor, key, &name, err);
	if (result == 0) {
		result = find(view, name, &id, &plain, &entry, &why);
		if (result >= 0)
			pd_embed_describe(result == 1 ? &entry : NULL, ret_info);
		result = pd_embed_error(err, result < 0 ? result : 0, &why);
	}
	leave(view);
	return result;
}

static int begin_scan(struct perdure_view *view, struct perdure_bytes actor, struct perdure_bytes key,
		      enum scan_kind kind, const struct perdure_range *range, struct perdure_scan **ret_scan,
		      struct perdure_error *err)
{
	struct pd_buffer buffer; /* the view's own is whose who has its lock */
	struct pd_slice name;
	int result;

	if (view == NULL || ret_scan == NULL)
		return pd_embed_errorf(err, PERDURE_INVALID,
				       "a scan of a view needs a view, and a place for the scan");
	pd_buffer_init(&buffer, PD_NAME_SIZE_MAX + PERDURE_KEY_SIZE_MAX + 2);
	result = pd_embed_spell(&buffer, pd_slice(view->actor, view->actor_size), actor, key, &name, err);
	if (result == 0)
		result = pd_scan_begin_view(view, name, kind, range, ret_scan, err);
	pd_buffer_done(&buffer);
	return result;
}

int perdure_view_scan_keys(struct perdure_view *view, struct perdure_bytes actor,
			   const struct perdure_range *range, struct perdure_scan **ret_scan,
			   struct perdure_error *err)
{
	return begin_scan(view, actor, perdure_data(NULL, 0), SCAN_KEYS, range, ret_scan, err);
}

int perdure_view_hash_scan(struct perdure_view *view, struct perdure_bytes actor, struct perdure_bytes key,
			   const struct perdure_range *range, struct perdure_scan **ret_scan,
			   struct perdure_error *err)
{
	return begin_scan(view, actor, key, SCAN_FIELDS, range, ret_scan, err);
}
