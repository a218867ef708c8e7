//! Pictures by their contents: a pure function of a file's bytes. Two files are one picture if their bytes are the same, or if they look alike.
//!
//! What a picture looks like is told by the signs of low frequencies of its middle, in shades of grey: re-compressing, scaling and a
//! watermark change few of them. Cutting off a margin would shift them all, so the looker tries it: for every cut of up to 5 % a side it takes
//! what would be left of the middle, both as if this picture were the cut one and as if it were the whole.

use std::io::Cursor;
use std::sync::LazyLock;

use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, ImageDecoder, ImageError, ImageReader, Limits};

use crate::model::event::{Look, Picture};

/// Largest file that is opened, in bytes: WeCom sends pictures of 10 MB at most.
pub const PICTURE_BYTES_MAX: usize = 10 * 1024 * 1024;

/// Most pixels that are unpacked: more than phones take, and a bound on what a small file can blow up to.
pub const PICTURE_PIXELS_MAX: u64 = 50_000_000;

/// Most memory that unpacking may take, in bytes: the pixels above with four channels.
const PICTURE_ALLOC_MAX: u64 = 4 * PICTURE_PIXELS_MAX;

/// The longer side of what is looked at, in pixels; finer detail is not needed.
const SIDE: u32 = 512;
/// Blocks on a side of the grid that the frequencies are taken of.
const GRID: usize = 32;
/// Frequencies on a side from which the lowest are taken.
const WAVES: usize = 16;
/// The evenness and the two slowest slopes say more of the light than of the picture.
const SKIPPED: usize = 3;
/// Cut off a side, as parts of it, that are tried; those between them are near enough to one.
const CUTS: [f64; 3] = [0.0, 0.025, 0.05];
/// The margin around the middle: no cut may reach into it.
const MARGIN: f64 = 0.06;
/// A picture all of whose blocks are within so many of 255 shades shows nothing.
const CONTRAST_MIN: f32 = 2.0;

/// Why a file is no picture that can be looked at. The words are for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPicture {
    /// More bytes than [`PICTURE_BYTES_MAX`].
    #[error("图片太大,最多 10 MB")]
    TooLarge,
    /// More pixels than [`PICTURE_PIXELS_MAX`].
    #[error("图片的像素太多,最多 5000 万")]
    TooManyPixels,
    /// None of the formats that are read.
    #[error("这不是图片:只认 JPEG、PNG、WebP 和 GIF")]
    NotAPicture,
    /// It begins like a picture and cannot be read to the end.
    #[error("图片打不开,可能没有传完整")]
    Broken,
}

/// A picture that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// What is kept of it.
    pub picture: Picture,
    /// How it would look if it were cut out of another, or another out of it ([`crate::model::event::Said::crops`]).
    pub crops: Vec<Look>,
}

/// Looks at a file.
///
/// # Errors
/// See [`BadPicture`]; nothing large is unpacked to find that out.
pub fn look_at(bytes: &[u8]) -> Result<Sight, BadPicture> {
    let grey = open(bytes)?;
    let sums = Sums::of(&grey);
    let whole = sums.look(Region::MIDDLE);
    let crops = whole.map_or_else(Vec::new, |whole| {
        let mut crops: Vec<Look> = cuts().filter_map(|region| sums.look(region)).filter(|look| *look != whole).collect();
        crops.sort_unstable();
        crops.dedup();
        crops
    });
    Ok(Sight { picture: Picture { look: whole, ..Picture::known_as(bytes) }, crops })
}

/// Unpacks a file, upright, in grey and small.
fn open(bytes: &[u8]) -> Result<GrayImage, BadPicture> {
    if bytes.len() > PICTURE_BYTES_MAX {
        return Err(BadPicture::TooLarge);
    }
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|_| BadPicture::NotAPicture)?;
    reader.format().filter(|format| format.reading_enabled()).ok_or(BadPicture::NotAPicture)?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(PICTURE_ALLOC_MAX);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|error| bad(&error))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > PICTURE_PIXELS_MAX {
        return Err(BadPicture::TooManyPixels);
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let whole = DynamicImage::from_decoder(decoder).map_err(|error| bad(&error))?;
    // `thumbnail` keeps the proportions and never asks for less than one pixel.
    let mut small = if width.max(height) > SIDE { whole.thumbnail(SIDE, SIDE) } else { whole };
    small.apply_orientation(orientation);
    Ok(small.into_luma8())
}

fn bad(error: &ImageError) -> BadPicture {
    match error {
        ImageError::Limits(_) => BadPicture::TooManyPixels,
        ImageError::Unsupported(_) => BadPicture::NotAPicture,
        ImageError::Decoding(_) | ImageError::Encoding(_) | ImageError::Parameter(_) | ImageError::IoError(_) => BadPicture::Broken,
    }
}

/// A part of a picture, in parts of its sides.
#[derive(Debug, Clone, Copy)]
struct Region {
    left: f64,
    top: f64,
    right: f64,
    bottom: f64,
}

impl Region {
    const MIDDLE: Region = Region { left: MARGIN, top: MARGIN, right: 1.0 - MARGIN, bottom: 1.0 - MARGIN };
}

/// Where the middle of the other picture is in this one, for every cut between the two.
fn cuts() -> impl Iterator<Item = Region> {
    let pairs = || CUTS.iter().flat_map(|one| CUTS.iter().map(move |other| (*one, *other)));
    let middle = Region::MIDDLE;
    pairs().flat_map(move |(left, right)| {
        pairs().flat_map(move |(top, bottom)| {
            let (width, height) = (1.0 - left - right, 1.0 - top - bottom);
            // This one was cut out of the other, or the other out of this one.
            let cut = Region {
                left: (middle.left - left) / width,
                top: (middle.top - top) / height,
                right: (middle.right - left) / width,
                bottom: (middle.bottom - top) / height,
            };
            let whole = Region {
                left: left + middle.left * width,
                top: top + middle.top * height,
                right: left + middle.right * width,
                bottom: top + middle.bottom * height,
            };
            [cut, whole]
        })
    })
}

/// Sums over all rectangles from the upper left corner, so that the mean of any is four look-ups.
struct Sums {
    width: usize,
    height: usize,
    sums: Vec<f64>,
}

impl Sums {
    fn of(grey: &GrayImage) -> Self {
        let (width, height) = (grey.width() as usize, grey.height() as usize);
        let mut sums = vec![0.0; (width + 1) * (height + 1)];
        for (y, row) in grey.rows().enumerate() {
            let mut so_far = 0.0;
            for (x, pixel) in row.enumerate() {
                so_far += f64::from(pixel.0[0]);
                sums[(y + 1) * (width + 1) + x + 1] = sums[y * (width + 1) + x + 1] + so_far;
            }
        }
        Sums { width, height, sums }
    }

    /// What a region looks like; `None` if it shows nothing.
    fn look(&self, region: Region) -> Option<Look> {
        let blocks = self.blocks(region);
        let (darkest, lightest) = blocks.iter().fold((f32::MAX, f32::MIN), |(low, high), shade| (low.min(*shade), high.max(*shade)));
        (lightest - darkest >= CONTRAST_MIN).then(|| signs(&frequencies(&blocks)))
    }

    /// The mean shades of a region in [`GRID`]² blocks.
    fn blocks(&self, region: Region) -> Vec<f32> {
        let edges = |low: f64, high: f64, side: usize| {
            let edge = move |at: usize| (low + (high - low) * at as f64 / GRID as f64).clamp(0.0, 1.0) * side as f64;
            (0..=GRID).map(edge).collect::<Vec<f64>>()
        };
        let (columns, rows) = (edges(region.left, region.right, self.width), edges(region.top, region.bottom, self.height));
        let block = |x: &[f64], y: &[f64]| {
            let sum = self.sum(x[1], y[1]) - self.sum(x[0], y[1]) - self.sum(x[1], y[0]) + self.sum(x[0], y[0]);
            (sum / ((x[1] - x[0]) * (y[1] - y[0])).max(f64::MIN_POSITIVE)) as f32
        };
        rows.windows(2).flat_map(|y| columns.windows(2).map(move |x| block(x, y))).collect()
    }

    /// The sum over everything left of and above a point, which may lie within a pixel.
    fn sum(&self, x: f64, y: f64) -> f64 {
        let (column, row) = ((x as usize).min(self.width - 1), (y as usize).min(self.height - 1));
        let (right, down) = (x - column as f64, y - row as f64);
        let at = |column: usize, row: usize| self.sums[row * (self.width + 1) + column];
        let above = at(column, row) * (1.0 - right) + at(column + 1, row) * right;
        let below = at(column, row + 1) * (1.0 - right) + at(column + 1, row + 1) * right;
        above * (1.0 - down) + below * down
    }
}

/// The cosines of a discrete cosine transform: wave × block.
static COSINES: LazyLock<Vec<f32>> = LazyLock::new(|| {
    let cosine = |wave: usize, at: usize| ((2 * at + 1) as f32 * wave as f32 * std::f32::consts::PI / (2 * GRID) as f32).cos();
    (0..WAVES).flat_map(|wave| (0..GRID).map(move |at| cosine(wave, at))).collect()
});

/// The lowest [`WAVES`]² frequencies of the blocks, row by row.
fn frequencies(blocks: &[f32]) -> Vec<f32> {
    let dot = |one: &[f32], wave: usize| one.iter().zip(&COSINES[wave * GRID..]).map(|(shade, cosine)| shade * cosine).sum::<f32>();
    // Across each row, kept by column, then down each column.
    let across: Vec<f32> = (0..WAVES).flat_map(|wave| blocks.chunks(GRID).map(move |row| dot(row, wave))).collect();
    (0..WAVES).flat_map(|wave| across.chunks(GRID).map(move |column| dot(column, wave))).collect()
}

/// The frequencies whose signs are taken, slowest first.
static TAKEN: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let mut taken: Vec<(usize, usize)> = (0..WAVES).flat_map(|down| (0..WAVES).map(move |across| (down, across))).collect();
    taken.sort_by_key(|(down, across)| (down * down + across * across, *down));
    taken.into_iter().skip(SKIPPED).take(128).map(|(down, across)| down * WAVES + across).collect()
});

fn signs(frequencies: &[f32]) -> Look {
    let mut look = Look::default();
    for (bit, at) in TAKEN.iter().enumerate() {
        look.0[bit / 64] |= u64::from(frequencies[*at] > 0.0) << (bit % 64);
    }
    look
}

#[cfg(test)]
mod rides;

#[cfg(test)]
mod tests {
    use image::codecs::jpeg::JpegEncoder;
    use image::imageops::{FilterType, crop_imm, resize};
    use image::{ImageFormat, RgbImage};

    use super::rides::{number, photograph, screenshot};
    use super::*;
    use crate::model::event::LOOK_DISTANCE_MAX;

    fn encoded(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn jpeg(image: &RgbImage, quality: u8) -> Vec<u8> {
        let mut bytes = Vec::new();
        JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(image).unwrap();
        bytes
    }

    fn seen(image: &RgbImage) -> Sight {
        look_at(&encoded(image, ImageFormat::Png)).unwrap()
    }

    /// What remains when these parts of the sides are cut off.
    fn cut(image: &RgbImage, left: f32, top: f32, right: f32, bottom: f32) -> RgbImage {
        let (width, height) = (image.width() as f32, image.height() as f32);
        let part = |side: f32, part: f32| (side * part).round() as u32;
        crop_imm(image, part(width, left), part(height, top), part(width, 1.0 - left - right), part(height, 1.0 - top - bottom)).to_image()
    }

    /// Half-transparent digits: in the corner, or across the middle.
    fn watermarked(image: &RgbImage, across: bool) -> RgbImage {
        let mut marked = image.clone();
        let (width, height) = (image.width() as i32, image.height() as i32);
        let (count, size) = if across { (8, width / 18) } else { (6, width / 30) };
        let place = if across { (width / 6, height / 2) } else { (width - size * 10, height - size * 3) };
        number(&mut marked, &[2, 0, 2, 6, 1, 1, 2, 2][..count], place, size, [128, 128, 128]);
        let mut mixed = image.clone();
        for (pixel, mark) in mixed.pixels_mut().zip(marked.pixels()) {
            pixel.0 = std::array::from_fn(|at| pixel.0[at].midpoint(mark.0[at]));
        }
        mixed
    }

    /// The fewest bits in which a picture, as it arrives, differs from an earlier one.
    fn apart(new: &Sight, earlier: &Sight) -> u32 {
        let earlier = earlier.picture.look.unwrap();
        new.picture.look.iter().chain(&new.crops).map(|look| look.distance(earlier)).min().unwrap()
    }

    /// What is done to a picture to pass it off as another, by name.
    fn disguises(image: &RgbImage) -> Vec<(&'static str, Sight)> {
        let small = resize(image, image.width() * 2 / 3, image.height() * 2 / 3, FilterType::Triangle);
        vec![
            ("re-compressed", look_at(&jpeg(image, 40)).unwrap()),
            ("made smaller", look_at(&jpeg(&small, 70)).unwrap()),
            ("as WebP", look_at(&encoded(image, ImageFormat::WebP)).unwrap()),
            ("cut left", look_at(&jpeg(&cut(image, 0.05, 0.0, 0.0, 0.0), 70)).unwrap()),
            ("cut at the top", seen(&cut(image, 0.0, 0.05, 0.0, 0.0))),
            ("cut at two sides", seen(&cut(image, 0.05, 0.0, 0.0, 0.05))),
            ("cut all around by half as much", seen(&cut(image, 0.025, 0.025, 0.025, 0.025))),
            ("cut all around", seen(&cut(image, 0.05, 0.05, 0.05, 0.05))),
            ("marked in a corner", seen(&watermarked(image, false))),
            ("marked across", seen(&watermarked(image, true))),
        ]
    }

    #[test]
    fn a_picture_is_known_again_compressed_cut_and_watermarked_whichever_came_first() {
        for image in [screenshot(1), screenshot(2), screenshot(3), photograph(1), photograph(2)] {
            let original = seen(&image);
            for (disguise, sight) in disguises(&image) {
                assert_ne!(sight.picture.exact, original.picture.exact, "{disguise}");
                let (after, before) = (apart(&sight, &original), apart(&original, &sight));
                assert!(after.max(before) <= LOOK_DISTANCE_MAX, "{disguise}: {after} bits after the original, {before} before it");
            }
        }
    }

    #[test]
    fn fifty_rides_are_fifty_pictures() {
        let rides: Vec<Sight> = (1..=40).map(|seed| seen(&screenshot(seed))).chain((1..=10).map(|seed| seen(&photograph(seed)))).collect();
        let pairs = rides.iter().enumerate().flat_map(|(at, new)| rides[..at].iter().map(move |earlier| apart(new, earlier)));
        assert!(pairs.min().unwrap() > LOOK_DISTANCE_MAX, "a ride would be taken for another");
    }

    #[test]
    fn a_picture_of_nothing_has_no_look() {
        let white = seen(&RgbImage::from_pixel(300, 300, image::Rgb([255, 255, 255])));
        assert_eq!((white.picture.look, white.crops), (None, Vec::new()));
        assert!(seen(&RgbImage::from_fn(1, 1, |_, _| image::Rgb([7, 7, 7]))).picture.look.is_none());
    }

    #[test]
    fn what_cannot_be_opened_is_refused_in_words() {
        let bad = |bytes: &[u8]| look_at(bytes).unwrap_err();
        let png = encoded(&screenshot(1), ImageFormat::Png);
        assert_eq!(bad(b""), BadPicture::NotAPicture);
        assert_eq!(bad("打卡".as_bytes()), BadPicture::NotAPicture);
        assert_eq!(bad(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>"), BadPicture::NotAPicture);
        assert_eq!(bad(&png[..png.len() / 2]), BadPicture::Broken);
        assert_eq!(bad(&png[..20]), BadPicture::Broken);
        assert_eq!(bad(&vec![0; PICTURE_BYTES_MAX + 1]), BadPicture::TooLarge);
    }

    #[test]
    fn a_small_file_cannot_blow_up() {
        // The head of a PNG of 60 000 × 60 000 pixels: refused before any of them is unpacked.
        let mut head = encoded(&RgbImage::new(1, 1), ImageFormat::Png);
        head[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        let crc = crc_of(&head[12..29]);
        head[29..33].copy_from_slice(&crc.to_be_bytes());
        assert_eq!(look_at(&head).unwrap_err(), BadPicture::TooManyPixels);
    }

    /// The checksum of a chunk of a PNG.
    fn crc_of(chunk: &[u8]) -> u32 {
        let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        !chunk.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_break_the_looker(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300), kind in 0usize..4) {
            let heads: [&[u8]; 4] = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"GIF89a", b"RIFF\x20\x00\x00\x00WEBPVP8 "];
            let _ = look_at(&[heads[kind], &bytes].concat());
        }
    }
}
