/* svg_heat.c - a heat map whose every cell also says its number. */
#include "reports/svg.h"

#include <math.h>
#include <string.h>

enum { CELL_WIDTH = 72, CELL_HEIGHT = 26, GAP = 2, LEFT = 76, TOP = 44 };

static const char *const level_colors[] = {"#eef4f9", "#d6e6f2", "#b5d3e8", "#8fbcdb", "#f6d5a8"};

/* Of few columns: wide enough for their name. */
static double width_of(const mv_heat *heat)
{
    double cells = (double)heat->n_columns * CELL_WIDTH;
    return fmax(cells, 1.1 * mv_svg_text_width(heat->column_name, 60));
}

static void put_labels(mv_bytes *bytes, const mv_heat *heat)
{
    double center = LEFT + width_of(heat) / 2;
    mv_svg_open(bytes, "name", "fill=\"#57606a\"");
    mv_svg_text(bytes, center, 14, "middle", heat->column_name, 60);
    mv_svg_text(bytes, LEFT - 8, TOP - 10, "end", heat->row_name, 12);
    mv_svg_close(bytes);
    mv_svg_open(bytes, "tick", "fill=\"#1b1f24\"");
    for (size_t c = 0; c < heat->n_columns; c++) {
        mv_svg_text(bytes, LEFT + ((double)c + 0.5) * CELL_WIDTH, TOP - 10, "middle",
                    heat->columns[c].text, 11);
    }
    for (size_t r = 0; r < heat->n_rows; r++) {
        mv_svg_text(bytes, LEFT - 8, TOP + ((double)r + 0.5) * CELL_HEIGHT + 4, "end",
                    heat->rows[r].text, 11);
    }
    mv_svg_close(bytes);
}

static void put_cell(mv_bytes *bytes, const mv_heat_cell *cell, double x, double y)
{
    const double width = CELL_WIDTH - GAP, height = CELL_HEIGHT - GAP;
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
        double plate = 10 + 7.2 * (double)strlen(cell->text);
        mv_svg_rect(bytes, x + (width - plate) / 2, y + 4, plate, height - 8, "plate", NULL);
        mv_bytes_text(bytes, "<g class=\"num\" fill=\"#8c1d18\" font-weight=\"bold\">");
    } else {
        mv_bytes_text(bytes, "<g class=\"num\" fill=\"#1b1f24\">");
    }
    mv_svg_text(bytes, x + width / 2, y + height / 2 + 4, "middle", cell->text, 9);
    mv_svg_close(bytes);
    mv_svg_close(bytes);
}

void mv_svg_heat(mv_bytes *bytes, const mv_heat *heat)
{
    mv_svg_begin(bytes, LEFT + width_of(heat) + 4, TOP + (double)heat->n_rows * CELL_HEIGHT + 4,
                 heat->label);
    put_labels(bytes, heat);
    for (size_t r = 0; r < heat->n_rows; r++) {
        for (size_t c = 0; c < heat->n_columns; c++) {
            const mv_heat_cell *cell = &heat->cells[r * heat->n_columns + c];
            if (cell->text[0] != '\0') {
                put_cell(bytes, cell, LEFT + (double)c * CELL_WIDTH, TOP + (double)r * CELL_HEIGHT);
            }
        }
    }
    mv_svg_end(bytes);
}
