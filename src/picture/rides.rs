//! Pictures for tests: screenshots of a riding app, each of another ride, and photographs of bicycles. Drawn, always the same for the same number.

use image::{Rgb, RgbImage};

/// Numbers that look random: xorshift64*.
struct Dice(u64);

impl Dice {
    fn new(number: u64) -> Self {
        let mut dice = Dice(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            dice.below(2);
        }
        dice
    }

    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % most
    }

    fn part(&mut self) -> f32 {
        self.below(10_000) as f32 / 10_000.0
    }
}

type Point = (f32, f32);

fn disc(image: &mut RgbImage, (x, y): Point, radius: f32, colour: [u8; 3]) {
    let (width, height) = image.dimensions();
    let span = |at: f32, side: u32| (at - radius).max(0.0) as u32..=((at + radius).max(0.0) as u32).min(side - 1);
    for py in span(y, height) {
        for px in span(x, width) {
            if (px as f32 - x).hypot(py as f32 - y) <= radius {
                image.put_pixel(px, py, Rgb(colour));
            }
        }
    }
}

fn line(image: &mut RgbImage, from: Point, to: Point, radius: f32, colour: [u8; 3]) {
    let steps = ((from.0 - to.0).hypot(from.1 - to.1) / radius.max(1.0)).ceil().max(1.0) as u32;
    for step in 0..=steps {
        let along = step as f32 / steps as f32;
        disc(image, (from.0 + (to.0 - from.0) * along, from.1 + (to.1 - from.1) * along), radius, colour);
    }
}

fn block(image: &mut RgbImage, (x, y): (i32, i32), (width, height): (i32, i32), colour: [u8; 3]) {
    let (most_x, most_y) = (image.width() as i32, image.height() as i32);
    for py in y.max(0)..(y + height).min(most_y) {
        for px in x.max(0)..(x + width).min(most_x) {
            image.put_pixel(px as u32, py as u32, Rgb(colour));
        }
    }
}

/// Digits of seven strokes.
pub(super) fn number(image: &mut RgbImage, digits: &[u8], (x, y): (i32, i32), size: i32, colour: [u8; 3]) {
    const STROKES: [u8; 10] = [0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f];
    let (s, t) = (size, (size / 6).max(1));
    let places = [(0, 0, s, t), (s - t, 0, t, s), (s - t, s, t, s), (0, 2 * s - t, s, t), (0, s, t, s), (0, 0, t, s), (0, s - t / 2, s, t)];
    for (at, digit) in digits.iter().enumerate() {
        let left = x + at as i32 * (size * 3 / 2);
        for (stroke, (dx, dy, width, height)) in places.iter().enumerate() {
            if STROKES[usize::from(*digit % 10)] >> stroke & 1 == 1 {
                block(image, (left + dx, y + dy), (*width, *height), colour);
            }
        }
    }
}

fn digits(dice: &mut Dice) -> Vec<u8> {
    (0..4).map(|_| dice.below(10) as u8).collect()
}

/// A screenshot: the app's own frame, a map of somewhere with a route on it, numbers below.
pub(super) fn screenshot(seed: u64) -> RgbImage {
    let mut dice = Dice::new(seed);
    let (width, height, top, bottom) = (360, 780, 74, 450);
    let mut image = RgbImage::from_pixel(width, height, Rgb([240, 238, 230]));
    for _ in 0..3 + dice.below(4) {
        let colour = if dice.below(2) == 0 { [200, 225, 190] } else { [170, 205, 235] };
        let (x, y) = (dice.part() * 360.0, 74.0 + dice.part() * 376.0);
        for _ in 0..6 {
            let (dx, dy, radius) = ((dice.part() - 0.5) * 80.0, (dice.part() - 0.5) * 80.0, 14.0 + dice.part() * 40.0);
            disc(&mut image, (x + dx, y + dy), radius, colour);
        }
    }
    for _ in 0..8 + dice.below(8) {
        let (x, y, angle) = (dice.part() * 360.0, 74.0 + dice.part() * 376.0, dice.part() * std::f32::consts::TAU);
        let (dx, dy) = (500.0 * angle.cos(), 500.0 * angle.sin());
        line(&mut image, (x - dx, y - dy), (x + dx, y + dy), 1.0 + dice.part() * 2.5, [255, 255, 255]);
    }
    let (mut at, mut angle): (Point, f32) =
        ((360.0 * (0.2 + 0.6 * dice.part()), 74.0 + 376.0 * (0.2 + 0.6 * dice.part())), dice.part() * std::f32::consts::TAU);
    for _ in 0..14 + dice.below(16) {
        angle += (dice.part() - 0.5) * 2.2;
        let length = 14.0 + dice.part() * 40.0;
        let next = ((at.0 + length * angle.cos()).clamp(14.0, 346.0), (at.1 + length * angle.sin()).clamp(88.0, 436.0));
        line(&mut image, at, next, 3.0, [20, 160, 90]);
        at = next;
    }
    block(&mut image, (0, 0), (360, top), [255, 255, 255]);
    number(&mut image, &digits(&mut dice), (14, 8), 8, [60, 60, 60]);
    block(&mut image, (134, 40), (94, 14), [40, 40, 40]);
    block(&mut image, (0, bottom), (360, 330), [255, 255, 255]);
    number(&mut image, &digits(&mut dice), (26, bottom + 26), 26, [20, 20, 20]);
    for column in 0..3 {
        number(&mut image, &digits(&mut dice), (20 + column * 116, bottom + 100), 10, [20, 20, 20]);
        block(&mut image, (20 + column * 116, bottom + 132), (54, 10), [150, 150, 150]);
    }
    image
}

/// A photograph: sky and ground, hills, a bicycle, the grain of the sensor.
pub(super) fn photograph(seed: u64) -> RgbImage {
    let mut dice = Dice::new(seed + 1_000);
    let (horizon, sky, ground) = ((0.3 + 0.4 * dice.part()) * 360.0, 100.0 + dice.part() * 115.0, 40.0 + dice.part() * 120.0);
    let mut image = RgbImage::from_fn(480, 360, |_, y| {
        let y = y as f32;
        let shade = if y < horizon { sky + y / horizon * 40.0 } else { ground + (y - horizon) / (360.0 - horizon) * 50.0 };
        Rgb(if y < horizon { [(shade * 0.7) as u8, (shade * 0.85) as u8, shade as u8] } else { [shade as u8, (shade * 1.05) as u8, (shade * 0.8) as u8] })
    });
    for _ in 0..2 + dice.below(5) {
        let (x, radius, shade) = (dice.part() * 480.0, 24.0 + dice.part() * 84.0, (40.0 + dice.part() * 150.0) as u8);
        disc(&mut image, (x, horizon + radius * 0.4), radius, [shade, shade, shade / 5 * 4]);
    }
    let (x, y, size) = (480.0 * (0.25 + 0.5 * dice.part()), 360.0 * (0.55 + 0.3 * dice.part()), 24.0 + dice.part() * 42.0);
    let colour = [dice.below(255) as u8, dice.below(255) as u8, dice.below(255) as u8];
    for side in [-1.2, 1.2] {
        disc(&mut image, (x + side * size, y), size * 0.8, [20, 20, 20]);
        disc(&mut image, (x + side * size, y), size * 0.68, [ground as u8; 3]);
    }
    line(&mut image, (x - 1.2 * size, y), (x, y - size), 3.0, colour);
    line(&mut image, (x, y - size), (x + 1.2 * size, y), 3.0, colour);
    line(&mut image, (x - 0.4 * size, y - 1.2 * size), (x + 0.9 * size, y - 1.2 * size), 4.0, colour);
    for pixel in image.pixels_mut() {
        let grain = dice.below(15) as i16 - 7;
        pixel.0 = pixel.0.map(|shade| (i16::from(shade) + grain).clamp(0, 255) as u8);
    }
    image
}
