/* Users' records and names, as they stand in the log: what is taken for a user is written and read again
 * as the same. */
#include "input.h"
#include "security/user.h"

static void check_name(struct pd_slice name)
{
	struct pd_error err = { 0 };

	if (pd_user_check_name(name, &err) != 0)
		PD_ASSERT(err.text[0] != '\0');
	else
		PD_ASSERT(name.size > 0 && name.size <= PD_USER_NAME_MAX &&
			  memchr(name.data, '\0', name.size) == NULL);
}

static void check_same(const struct pd_user *a, const struct pd_user *b)
{
	PD_ASSERT(strcmp(a->tenant, b->tenant) == 0 && a->enabled == b->enabled && a->role == b->role);
	PD_ASSERT(a->has_password == b->has_password);
	if (a->has_password)
		PD_ASSERT(memcmp(&a->verifier, &b->verifier, sizeof a->verifier) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { data, size };
	struct pd_slice name = take_piece(&input), record = take_bytes(&input, input.size);
	uint8_t *copy = copy_bytes(record);
	struct pd_error err = { 0 };
	struct pd_buffer again;
	struct pd_user user, twin;
	enum pd_role role;

	check_name(name);
	(void)pd_role_parse(name, &role);
	pd_buffer_init(&again, 1 << 16);
	if (pd_user_decode(name, pd_slice(copy, record.size), &user, &err) == 0) {
		PD_ASSERT(pd_slice_equal(pd_slice_string(user.name), name));
		PD_ASSERT(pd_role_name(user.role) != NULL);
		PD_ASSERT(pd_user_encode(&user, &again) == 0);
		PD_ASSERT(pd_user_decode(name, pd_buffer_slice(&again), &twin, NULL) == 0);
		check_same(&user, &twin);
	} else {
		PD_ASSERT(err.text[0] != '\0');
	}
	pd_buffer_done(&again);
	free(copy);
	return 0;
}
