/* Views: a version that is held. Files and versions never change, so nothing more is needed. */
#include "base/memory.h"
#include "store/plain/plain_private.h"

static struct pd_plain *plain_of(const struct pd_levels_view *view)
{
	return (struct pd_plain *)view->levels;
}

int pd_plain_view_new(struct pd_levels *levels, struct pd_levels_view **ret_view, struct pd_error *err)
{
	struct pd_plain *plain = (struct pd_plain *)levels;
	struct pd_plain_view *view = pd_calloc(1, sizeof *view);

	if (view == NULL)
		return pd_plain_no_memory(plain->directory, err);
	view->version = pd_plain_version_get(plain);
	*ret_view = &view->base;
	return 0;
}

/* The value lies in a file of the version, which goes after it. */
int pd_plain_view_get(struct pd_levels_view *base, struct pd_slice key, struct pd_levels_value *ret_value,
		      struct pd_error *err)
{
	const struct pd_plain_view *view = (const struct pd_plain_view *)base;
	struct pd_plain_entry entry;
	struct pd_plain_file *file;
	int rc = pd_plain_find(view->version, plain_of(base)->directory, key, &entry, &file, err);

	if (rc == 1)
		*ret_value = (struct pd_levels_value){ .slice = entry.value };
	return rc;
}

void pd_plain_view_free(struct pd_levels_view *base)
{
	struct pd_plain_view *view = (struct pd_plain_view *)base;

	pd_plain_version_release(plain_of(base), view->version);
	pd_free(view);
}
