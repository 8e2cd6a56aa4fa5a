// How many tiles fit beside each other. Pure.

const RATIO = 1.3; // of a good tile, width to height
const ROOMY = 1.25; // of the least height: where tiles are scrolled, pictures are no strips
const HEADINGS_COST = 0.85; // a heading for each line is worth smaller tiles, up to here

/**
 * Return {columns, tileHeight, headings, fits} for tiles in an area; all in rem.
 *
 * The tiles are as large as possible. Where they would be smaller than least, they are
 * a little larger than that, and the area is scrolled.
 *
 * area: {width, height}. groups: number of tiles of each line. least: {width, height}.
 * gap: between tiles. heading: height of a line's heading.
 */
export function layOut(area, groups, { least, gap, heading }) {
  const plain = best(area, [groups.reduce((sum, each) => sum + each, 0)], 0, least, gap);
  if (groups.length < 2) return { ...plain, headings: false };
  const headed = best(area, groups, heading, least, gap);
  const headings = plain.fits ? headed.fits && headed.size >= plain.size * HEADINGS_COST : true;
  return { ...(headings ? headed : plain), headings };
}

function best(area, groups, heading, least, gap) {
  const most = Math.max(...groups);
  const widest = Math.max(1, Math.floor((area.width + gap) / (least.width + gap)));
  let found = null;
  for (let columns = 1; columns <= Math.min(most, widest); columns += 1) {
    const rows = groups.reduce((sum, each) => sum + Math.ceil(each / columns), 0);
    const width = (area.width - gap * (columns - 1)) / columns;
    const free = area.height - groups.length * heading - gap * (rows - 1);
    const tileHeight = free / rows;
    if (tileHeight < least.height) continue;
    const size = Math.min(width, tileHeight * RATIO);
    if (!found || size > found.size) found = { columns, tileHeight, size, fits: true };
  }
  if (found) return found;
  const columns = Math.min(most, widest);
  const width = (area.width - gap * (columns - 1)) / columns;
  return { columns, tileHeight: Math.max(least.height * ROOMY, Math.min(width / RATIO, least.height * 1.4)), size: 0, fits: false };
}
