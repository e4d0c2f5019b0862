/* What implementations of object_store.h share. */
#ifndef PD_PROVIDER_OBJECT_STORE_PRIVATE_H
#define PD_PROVIDER_OBJECT_STORE_PRIVATE_H

#include "provider/object_store.h"

/* PD_NO_MEMORY. Nobody watches yet. */
PD_MUST_CHECK int pd_object_store_init(struct pd_object_store *store, const struct pd_object_store_ops *ops,
				       const char *address, struct pd_error *err);
void pd_object_store_done(struct pd_object_store *store);

/* Tell who watches. PD_CANCELLED. */
PD_MUST_CHECK int pd_object_store_go_on(struct pd_object_store *store, struct pd_error *err);

/* Add an entry, if it begins with `prefix`, comes behind `after`, and has a name that an object can have: others are nobody's.
 * PD_NO_MEMORY; whoever called for the page frees it. */
PD_MUST_CHECK int pd_object_page_add(struct pd_object_page *page, const char *prefix, const char *after,
				     const char *name, uint64_t size);

#endif
