//! Rows of vectors in a snapshot: as they are kept, so that what is read back is the same to the bit.

use super::Space;
use crate::code::{CodeWidth, Tail, tail_of};
use crate::distance::unpadded_dot;
use crate::fold::{is_tiny, scale};
use crate::metric::vet;
use crate::persist::{LoadFault, Source, fault_unless, words};
use crate::storage::Storage;
use crate::tables::Fine;

impl Space {
    /// Whether some vector or query was so short that sums over it may vanish.
    pub(crate) fn is_tiny(&self) -> bool {
        self.tiny
    }

    /// The bits of its codes for each component; 0 if it has none.
    pub(crate) fn code_bits(&self) -> u8 {
        let codes = self.tables.as_ref().and_then(|tables| tables.codes.as_ref());
        codes.map_or(0, |codes| match codes.width() {
            CodeWidth::Eight => 8,
            CodeWidth::Four => 4,
        })
    }

    /// An empty space is to hold what was written of one with codes of so many bits.
    pub(crate) fn begin_restoring(&mut self, code_bits: u8, tiny: bool) -> Result<(), LoadFault> {
        let has_codes = self.storage.has_codes(self.dimension());
        let width = match code_bits {
            0 if !has_codes => CodeWidth::Eight,
            8 if has_codes => CodeWidth::Eight,
            4 if has_codes && self.storage == Storage::F32 => CodeWidth::Four,
            _ => {
                let what = "codes of a width that such an index does not have";
                return Err(LoadFault { what });
            }
        };
        self.tiny = tiny;
        self.make_tables(width);
        Ok(())
    }

    /// How many bytes a row takes as it is written.
    pub(crate) fn stored_bytes(&self) -> usize {
        let dimension = self.dimension();
        match self.storage {
            Storage::F32 if self.code_bits() == 4 => 4 * dimension + dimension.div_ceil(2) + 12,
            Storage::F32 => 4 * dimension,
            Storage::F16 | Storage::Q16 => 2 * dimension + 4,
            Storage::Q8 => dimension + 4,
        }
    }

    /// Writes a row. There are tables.
    pub(crate) fn put_stored(&self, slot: u32, out: &mut Vec<u8>) {
        let (tables, dimension) = (self.tables(), self.dimension());
        match &tables.fine {
            Fine::Floats(floats) => put_words(out, &floats.vector(slot)[..dimension]),
            Fine::Halves(halves) => {
                let kept = &halves.halves(slot)[..dimension];
                out.extend(kept.iter().flat_map(|half| half.to_le_bytes()));
                put_words(out, &[halves.unit(slot)]);
            }
            Fine::Residuals(_) => {}
        }
        match (&tables.fine, &tables.codes) {
            (Fine::Floats(_), Some(codes)) if codes.width() == CodeWidth::Four => {
                let (code, tail) = codes.stored(slot);
                put_code(out, code);
                put_words(out, &[tail.scale, tail.square, tail.largest]);
            }
            (Fine::Residuals(residuals), Some(codes)) => {
                let (code, tail) = codes.stored(slot);
                put_code(out, code);
                put_words(out, &[tail.largest]);
                if let Some(residuals) = residuals {
                    put_code(out, residuals.residual(slot));
                }
            }
            _ => {}
        }
    }

    /// Leaves the next row empty.
    pub(crate) fn skip_row(&mut self) {
        let row = self.len() as u32;
        self.rows().for_each(|rows| rows.reach(row));
    }

    /// Reads the next row. The buffer is for that.
    pub(crate) fn restore(&mut self, source: &mut Source<'_>, buffer: &mut Vec<f32>) -> Result<(), LoadFault> {
        let (slot, dimension, storage) = (self.len() as u32, self.dimension(), self.storage);
        buffer.clear();
        match storage {
            Storage::F32 => {
                buffer.extend(words(source.take(4 * dimension)?).map(f32::from_bits));
                self.vet(buffer)?;
                match self.code_bits() {
                    4 => self.restore_floats(slot, buffer, source)?,
                    _ => self.put_row(slot, buffer),
                }
                return Ok(());
            }
            Storage::F16 => self.restore_halves(slot, source, buffer)?,
            Storage::Q16 | Storage::Q8 => self.restore_code(slot, source)?,
        }
        self.decode(slot, dimension, buffer);
        self.vet(buffer)?;
        self.tiny |= is_tiny(unpadded_dot(buffer, buffer).sum);
        Ok(())
    }

    fn vet(&self, vector: &[f32]) -> Result<(), LoadFault> {
        fault_unless(
            vet(vector, self.metric).is_ok(),
            "a vector that its collection does not take",
        )
    }

    /// A vector beside a code of four bits, which took longer to choose than to read.
    fn restore_floats(&mut self, slot: u32, vector: &[f32], source: &mut Source<'_>) -> Result<(), LoadFault> {
        let (kernel, metric) = (self.kernel, self.metric);
        let code = signed(source.take(vector.len().div_ceil(2))?);
        let tail = Tail {
            scale: source.f32()?,
            square: source.f32()?,
            largest: source.f32()?,
        };
        let is_tail = |number: f32| number.is_finite() && number >= 0.0;
        fault_unless(
            [tail.scale, tail.square, tail.largest].into_iter().all(is_tail),
            "a code whose scale is no number",
        )?;
        let tables = self.make_tables(CodeWidth::Four);
        let mut square = 0.0;
        if let Fine::Floats(floats) = &mut tables.fine {
            floats.put(slot, vector, |row| {
                square = kernel.fine_dot(row, row).sum;
                scale(metric, square)
            });
        }
        if let Some(codes) = &mut tables.codes {
            codes.restore(slot, &code, tail);
        }
        self.tiny |= is_tiny(square);
        Ok(())
    }

    fn restore_halves(&mut self, slot: u32, source: &mut Source<'_>, buffer: &mut Vec<f32>) -> Result<(), LoadFault> {
        let (kernel, metric, dimension, length) = (self.kernel, self.metric, self.dimension(), self.length());
        let bytes = source.take(2 * dimension)?;
        let unit = source.f32()?;
        let Fine::Halves(halves) = &mut self.make_tables(CodeWidth::Eight).fine else {
            return Ok(());
        };
        let kept = bytes.chunks_exact(2).map(|half| u16::from_le_bytes([half[0], half[1]]));
        fault_unless(halves.restore(slot, kept, unit), "halves that are no numbers")?;
        buffer.resize(length, 0.0);
        kernel.decode_halves(halves.halves(slot), unit, buffer);
        let square = kernel.fine_dot(buffer, buffer).sum;
        halves.set_scale(slot, scale(metric, square) * unit);
        Ok(())
    }

    fn restore_code(&mut self, slot: u32, source: &mut Source<'_>) -> Result<(), LoadFault> {
        let (metric, dimension) = (self.metric, self.dimension());
        let code = signed(source.take(dimension)?);
        let largest = source.f32()?;
        let is_code = largest.is_finite()
            && largest >= 0.0
            && !code.contains(&i8::MIN)
            && (largest > 0.0 || code.iter().all(|&part| part == 0));
        fault_unless(is_code, "a code that no vector has")?;
        let tables = self.make_tables(CodeWidth::Eight);
        if let Some(codes) = &mut tables.codes {
            codes.restore(slot, &code, tail_of(&code, largest, metric));
        }
        if let Fine::Residuals(Some(residuals)) = &mut tables.fine {
            residuals.restore(slot, &signed(source.take(dimension)?));
        }
        Ok(())
    }
}

fn put_words(out: &mut Vec<u8>, floats: &[f32]) {
    out.extend(floats.iter().flat_map(|float| float.to_le_bytes()));
}

fn put_code(out: &mut Vec<u8>, code: &[i8]) {
    out.extend(code.iter().map(|&part| part as u8));
}

fn signed(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().map(|&byte| byte as i8).collect()
}
