/* Views, as scans and the directory see them. */
#ifndef PD_EMBED_VIEW_H
#define PD_EMBED_VIEW_H

#include "embed/scan.h"

/* Fetch the next portion of a scan. */
int pd_view_portion(struct perdure_view *view, struct perdure_scan *scan, struct perdure_error *err);
/* One more, or one less, who has a pointer to it. NULL is fine. */
void pd_view_hold(struct perdure_view *view);
void pd_view_release(struct perdure_view *view);
/* The directory is being closed: with db->sessions_lock. */
void pd_views_close(struct perdure *db);

#endif
