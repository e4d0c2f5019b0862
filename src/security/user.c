#include "security/user.h"

#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "base/memory.h"

/* ---- roles ---- */

const char *pd_role_name(enum pd_role role)
{
	switch (role) {
	case PD_ROLE_READ_ONLY:
		return "read-only";
	case PD_ROLE_READ_WRITE:
		return "read-write";
	case PD_ROLE_ADMIN:
		return "admin";
	}
	return "?";
}

bool pd_role_parse(struct pd_slice name, enum pd_role *ret_role)
{
	static const struct {
		const char *name;
		enum pd_role role;
	} names[] = {
		{ "read-only", PD_ROLE_READ_ONLY },   { "readonly", PD_ROLE_READ_ONLY },
		{ "read-write", PD_ROLE_READ_WRITE }, { "readwrite", PD_ROLE_READ_WRITE },
		{ "admin", PD_ROLE_ADMIN },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (pd_slice_equal_nocase(name, names[i].name)) {
			*ret_role = names[i].role;
			return true;
		}
	return false;
}

/* ---- what is good ---- */

int pd_user_check_name(struct pd_slice name, struct pd_error *err)
{
	bool good = name.size > 0 && name.size <= PD_USER_NAME_MAX;

	for (size_t i = 0; good && i < name.size; i++)
		good = name.data[i] > ' ' && name.data[i] != 127 && strchr("{}/", name.data[i]) == NULL;
	if (good)
		return 0;
	return pd_error_set(
		err, PD_INVALID,
		"a user's name has 1 to %u bytes, no space or control character, and none of {, } and /",
		PD_USER_NAME_MAX);
}

int pd_user_check_password(struct pd_slice password, struct pd_error *err)
{
	if (password.size > 0 && password.size <= PD_USER_PASSWORD_MAX)
		return 0;
	return pd_error_set(err, PD_INVALID, "a password has 1 to %u bytes", PD_USER_PASSWORD_MAX);
}

/* ---- the table ---- */

void pd_users_done(struct pd_users *users)
{
	for (size_t i = 0; i < users->count; i++)
		pd_free(users->items[i]);
	pd_free(users->items);
	*users = (struct pd_users){ 0 };
}

/* Where the name is, or would be. */
static size_t place_of(const struct pd_users *users, struct pd_slice name)
{
	size_t low = 0, high = users->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pd_slice_compare(pd_slice_string(users->items[middle]->name), name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct pd_user *pd_users_find(const struct pd_users *users, struct pd_slice name)
{
	size_t place = place_of(users, name);

	if (place < users->count && pd_slice_equal(pd_slice_string(users->items[place]->name), name))
		return users->items[place];
	return NULL;
}

/* Room for one more, so that what is in the engine is in the table, too. */
static int make_room(struct pd_users *users, struct pd_user **ret_fresh)
{
	struct pd_user **grown = pd_grow(users->items, users->count, &users->capacity,
					 sizeof(struct pd_user *), 8);

	if (grown == NULL)
		return PD_NO_MEMORY;
	users->items = grown;
	*ret_fresh = pd_calloc(1, sizeof **ret_fresh);
	return *ret_fresh != NULL ? 0 : PD_NO_MEMORY;
}

static void insert(struct pd_users *users, struct pd_user *fresh)
{
	size_t place = place_of(users, pd_slice_string(fresh->name));

	memmove(users->items + place + 1, users->items + place,
		(users->count - place) * sizeof(struct pd_user *));
	users->items[place] = fresh;
	users->count++;
}

struct loading {
	struct pd_users *users;
};

static int load_one(void *context, struct pd_slice name, struct pd_slice record, struct pd_error *err)
{
	struct loading *loading = context;
	struct pd_user *fresh = NULL;
	int result = make_room(loading->users, &fresh);

	if (result != 0)
		return pd_error_set(err, result, "out of memory for the users");
	result = pd_user_decode(name, record, fresh, err);
	if (result != 0)
		pd_free(fresh);
	else
		insert(loading->users, fresh);
	return result;
}

int pd_users_load(struct pd_users *users, struct pd_engine *engine, struct pd_error *err)
{
	struct loading loading = { .users = users };

	pd_users_done(users);
	return pd_engine_walk_users(engine, load_one, &loading, err);
}

/* ---- changes ---- */

static bool can_administer(const struct pd_user *user)
{
	return user->role == PD_ROLE_ADMIN && user->enabled && user->has_password;
}

int pd_users_check_change(const struct pd_users *users, const struct pd_user *user, const char *removed,
			  struct pd_error *err)
{
	size_t left = user != NULL, admins = user != NULL && can_administer(user);

	for (size_t i = 0; i < users->count; i++) {
		const struct pd_user *other = users->items[i];

		if ((user != NULL && strcmp(other->name, user->name) == 0) ||
		    (removed != NULL && strcmp(other->name, removed) == 0))
			continue;
		left++;
		admins += can_administer(other);
	}
	if (left > PD_USERS_MAX)
		return pd_error_set(err, PD_INVALID, "there are %d users, and may be no more", PD_USERS_MAX);
	if (left == 0 || admins > 0)
		return 0;
	if (users->count == 0)
		return pd_error_set(
			err, PD_INVALID,
			"the first user has to be an admin that is on and has a password: from then on "
			"everybody has to log in, and somebody must be able to administer");
	return pd_error_set(err, PD_INVALID,
			    "that would leave no admin who could log in; make another one first");
}

int pd_users_put(struct pd_users *users, struct pd_engine *engine, struct pd_session *session,
		 const struct pd_user *user, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	struct pd_slice name = pd_slice_string(user->name);
	struct pd_user *place = pd_users_find(users, name), *fresh = NULL;
	struct pd_buffer record;
	int result = 0;

	pd_buffer_init(&record, PD_USER_RECORD_MAX);
	if (place == NULL && make_room(users, &fresh) != 0)
		return pd_error_set(err, PD_NO_MEMORY, "out of memory for a user");
	result = pd_user_encode(user, &record);
	if (result != 0)
		(void)pd_error_set(err, result, "out of memory for a user");
	if (result == 0)
		result = pd_engine_put_user(engine, session, name, pd_buffer_slice(&record), ret_receipt,
					    err);
	if (result == 0 && place != NULL) {
		*place = *user;
	} else if (result == 0) {
		*fresh = *user;
		insert(users, fresh);
		fresh = NULL;
	}
	pd_free(fresh);
	pd_buffer_done(&record);
	return result;
}

int pd_users_remove(struct pd_users *users, struct pd_engine *engine, struct pd_session *session,
		    struct pd_slice name, struct pd_receipt *ret_receipt, struct pd_error *err)
{
	size_t place = place_of(users, name);
	int result;

	if (pd_users_find(users, name) == NULL)
		return pd_error_set(err, PD_NOT_FOUND, "there is no user '%.*s'",
				    name.size < PD_USER_NAME_MAX ? (int)name.size : (int)PD_USER_NAME_MAX,
				    (const char *)name.data);
	result = pd_engine_delete_user(engine, session, name, ret_receipt, err);
	if (result != 0)
		return result;
	pd_crypto_wipe(users->items[place], sizeof *users->items[place]);
	pd_free(users->items[place]);
	users->count--;
	memmove(users->items + place, users->items + place + 1,
		(users->count - place) * sizeof(struct pd_user *));
	return 0;
}
