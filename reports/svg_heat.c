/* svg_heat.c - a heat map whose every cell also says its number. Many columns become several
 * drawings, which stand side by side where there is room, and below each other where there is not.
 */
#include "reports/svg.h"

#include <math.h>
#include <string.h>

enum { MOST_COLUMNS = 7, WIDEST_CELL = 84, CELL_HEIGHT = 26, GAP = 2, LEFT = 56, TOP = 44 };

static const char *const level_colors[] = {"#eef4f9", "#d6e6f2", "#b5d3e8", "#8fbcdb", "#f6d5a8"};

/* One drawing: columns first ... end - 1, and of the rows those that have a cell there. */
typedef struct heat_panel {
    const mv_heat *heat;
    size_t first, end;
    double cell_width;
} heat_panel;

static bool has_row(const heat_panel *panel, size_t r)
{
    for (size_t c = panel->first; c < panel->end; c++) {
        if (panel->heat->cells[r * panel->heat->n_columns + c].text[0] != '\0') {
            return true;
        }
    }
    return false;
}

/* Where row r begins; of r = n_rows, where the last one ends. */
static double top_of(const heat_panel *panel, size_t r)
{
    double top = TOP;
    for (size_t i = 0; i < r; i++) {
        top += has_row(panel, i) ? CELL_HEIGHT : 0;
    }
    return top;
}

static void put_labels(mv_bytes *bytes, const heat_panel *panel)
{
    const mv_heat *heat = panel->heat;
    mv_svg_open(bytes, "name", "fill=\"#57606a\"");
    mv_svg_text(bytes, LEFT, 14, "start", heat->column_name, 45);
    mv_svg_text(bytes, LEFT - 8, TOP - 10, "end", heat->row_name, 7);
    mv_svg_close(bytes);
    mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
    for (size_t c = panel->first; c < panel->end; c++) {
        mv_svg_text(bytes, LEFT + ((double)(c - panel->first) + 0.5) * panel->cell_width, TOP - 10,
                    "middle", heat->columns[c].text, 7);
    }
    for (size_t r = 0; r < heat->n_rows; r++) {
        if (has_row(panel, r)) {
            mv_svg_text(bytes, LEFT - 8, top_of(panel, r) + CELL_HEIGHT / 2.0 + 4, "end",
                        heat->rows[r].text, 7);
        }
    }
    mv_svg_close(bytes);
}

static void put_cell(mv_bytes *bytes, const mv_heat_cell *cell, double x, double y, double width)
{
    const double height = CELL_HEIGHT - GAP;
    int level = cell->level < 0 ? 0 : cell->level > 4 ? 4 : cell->level;
    char classes[32], attributes[32];
    (void)snprintf(classes, sizeof classes, cell->is_bad ? "cell bad" : "cell h%d", level);
    (void)snprintf(attributes, sizeof attributes, "fill=\"%s\"",
                   cell->is_bad ? "#fde7e5" : level_colors[level]);
    mv_svg_open(bytes, classes, attributes);
    mv_svg_rect(bytes, x, y, width, height, "pt", cell->tip);
    if (cell->is_bad) {
        mv_svg_hatch(bytes, x, y, width, height);
        /* The number stands on a plain ground, not on the hatch. */
        double plate = fmin(width, 4 + mv_svg_text_width(cell->text, 8));
        mv_svg_rect(bytes, x + (width - plate) / 2, y + 3, plate, height - 6, "plate", NULL);
        mv_bytes_text(bytes, "<g class=\"num\" fill=\"#8c1d18\" font-weight=\"bold\">");
    } else {
        mv_bytes_text(bytes, "<g class=\"num\" fill=\"#1b1f24\">");
    }
    mv_svg_text(bytes, x + width / 2, y + height / 2 + 4.5, "middle", cell->text, 8);
    mv_svg_close(bytes);
    mv_svg_close(bytes);
}

static void put_panel(mv_bytes *bytes, const heat_panel *panel)
{
    const mv_heat *heat = panel->heat;
    char label[256];
    (void)snprintf(
        label, sizeof label, "%.190s%s%.24s%s%.24s", heat->label,
        panel->end - panel->first < heat->n_columns ? ", columns " : "",
        panel->end - panel->first < heat->n_columns ? heat->columns[panel->first].text : "",
        panel->end - panel->first < heat->n_columns ? " to " : "",
        panel->end - panel->first < heat->n_columns ? heat->columns[panel->end - 1].text : "");
    mv_svg_begin(bytes, top_of(panel, heat->n_rows) + 4, label);
    put_labels(bytes, panel);
    for (size_t r = 0; r < heat->n_rows; r++) {
        for (size_t c = panel->first; c < panel->end; c++) {
            const mv_heat_cell *cell = &heat->cells[r * heat->n_columns + c];
            if (cell->text[0] != '\0') {
                put_cell(bytes, cell, LEFT + (double)(c - panel->first) * panel->cell_width,
                         top_of(panel, r), panel->cell_width - GAP);
            }
        }
    }
    mv_svg_end(bytes);
}

void mv_svg_heat(mv_bytes *bytes, const mv_heat *heat)
{
    const size_t n_panels = (heat->n_columns + MOST_COLUMNS - 1) / MOST_COLUMNS;
    for (size_t first = 0, p = 0; p < n_panels; p++) {
        const size_t n = (heat->n_columns - first + n_panels - p - 1) / (n_panels - p);
        const heat_panel panel = {heat, first, first + n,
                                  fmin(WIDEST_CELL, (MV_SVG_WIDTH - LEFT) / (double)n)};
        put_panel(bytes, &panel);
        first += n;
    }
}
